//! Compiles the protos without protoc, and keeps their comments for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

/// The services with what they import, and what google.rpc's error details import.
const PROTOS: &[&str] = &[
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "vestibule/v1/email_address_service.proto",
    "vestibule/v1/error_reason.proto",
    "vestibule/v1/event_service.proto",
    "vestibule/v1/mail_service.proto",
    "vestibule/v1/registration_service.proto",
    "vestibule/v1/user_service.proto",
];

#[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    let mut compiler = protox::Compiler::new(["proto"])?;
    let descriptors = compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(PROTOS)?
        .encode_file_descriptor_set();
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("vestibule.v1.bin"), &descriptors)?;
    tonic_prost_build::configure()
        .build_client(true)
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(prost_types::FileDescriptorSet::decode(&*descriptors)?)?;
    Ok(())
}

/// Messages that carry a password or a key: their `Debug` is written by hand in `grpc/proto.rs`.
const SECRET_MESSAGES: [&str; 9] = [
    "vestibule.v1.ActivateRequest",
    "vestibule.v1.CreateInactiveUserRequest",
    "vestibule.v1.CreateInactiveUserResponse",
    "vestibule.v1.CreateRegistrationProfileResponse",
    "vestibule.v1.InspectActivationKeyRequest",
    "vestibule.v1.ReissueActivationKeyResponse",
    "vestibule.v1.SetPasswordRequest",
    "vestibule.v1.VerifyEmailAddressRequest",
    "vestibule.v1.VerifyPasswordRequest",
];
