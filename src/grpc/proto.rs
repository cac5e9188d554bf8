//! The messages and services that the build made out of `proto/`.

#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the protos are commented"
)]

use std::fmt;

tonic::include_proto!("vestibule.v1");

/// The descriptors of everything in `proto/`, with imports and comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vestibule.v1.bin"));

/// Messages that carry a password or a key are printed without their fields.
macro_rules! without_fields {
    ($($message:ident),+ $(,)?) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })+
    };
}

without_fields!(
    ActivateRequest,
    CreateInactiveUserRequest,
    CreateInactiveUserResponse,
    CreateRegistrationProfileResponse,
    InspectActivationKeyRequest,
    ReissueActivationKeyResponse,
    VerifyEmailAddressRequest,
    SetPasswordRequest,
    VerifyPasswordRequest,
);
