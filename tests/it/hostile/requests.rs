//! A request for every call in which every field is right, and which changes nothing: the user is not there, the
//! address is taken, the key unknown.

use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;
use uuid::Uuid;
use vestibule::grpc::proto::{
    ActivateRequest, ActivateUserRequest, AddEmailAddressRequest, CountUnverifiedRequest,
    CreateInactiveUserRequest, CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest,
    DeleteUserRequest, DisableUserRequest, DiscardMailRequest, EnableUserRequest, GetMailRequest,
    GetRegistrationProfileRequest, GetUserRequest, InspectActivationKeyRequest, LiftSuppressionRequest,
    ListEmailAddressesRequest, ListEventsRequest, ListMailsRequest, ListSuppressionsRequest,
    ListUnverifiedRequest, ListUsersRequest, PurgeExpiredRequest, PurgeUnverifiedRequest, RecordLoginRequest,
    ReissueActivationKeyRequest, RemindUnverifiedRequest, RemoveEmailAddressRequest, ReportBounceRequest,
    RetryMailRequest, SendActivationEmailRequest, SendVerificationEmailRequest, SetPasswordRequest,
    SetPrimaryEmailAddressRequest, UnverifiedFilter, VerifyEmailAddressRequest, VerifyPasswordRequest,
    WatchEventsRequest, get_user_request, report_bounce_request, send_activation_email_request,
    verify_password_request,
};

use super::{Answer, Call};

/// An address that somebody has verified.
pub const EMAIL: &str = "mike@example.com";
/// A key that nobody has.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// The call's request, and what it is answered: on either store the same.
pub fn valid(method: &MethodDescriptor) -> (DynamicMessage, Answer) {
    let user_id = Uuid::nil().to_string();
    let (email, activation_key) = (EMAIL.to_owned(), KEY.to_owned());
    let mail_id = Uuid::nil().to_string();
    let done = || Answer::new(Code::Ok, "", &[]);
    let nobody = || Answer::new(Code::NotFound, "USER_NOT_FOUND", &[]);
    let no_mail = || Answer::new(Code::NotFound, "MAIL_NOT_FOUND", &[]);
    let no_key = || Answer::new(Code::NotFound, "ACTIVATION_KEY_UNKNOWN", &[]);
    let (bytes, answer) = match method.name() {
        "CreateInactiveUser" => {
            let username = "alice".to_owned();
            let request = CreateInactiveUserRequest { username, email, ..Default::default() };
            (encode(request), Answer::new(Code::AlreadyExists, "EMAIL_TAKEN", &[]))
        }
        "Activate" => (encode(ActivateRequest { activation_key, ..Default::default() }), no_key()),
        "InspectActivationKey" => (encode(InspectActivationKeyRequest { activation_key }), no_key()),
        "SendActivationEmail" => {
            let user = send_activation_email_request::User::UserId(user_id);
            (encode(SendActivationEmailRequest { user: Some(user), ..Default::default() }), nobody())
        }
        "ReissueActivationKey" => (encode(ReissueActivationKeyRequest { user_id }), nobody()),
        "GetRegistrationProfile" => (encode(GetRegistrationProfileRequest { user_id }), nobody()),
        "CreateRegistrationProfile" => (
            encode(CreateRegistrationProfileRequest { user_id, send_email: None, ..Default::default() }),
            nobody(),
        ),
        "DeleteRegistrationProfile" => (encode(DeleteRegistrationProfileRequest { user_id }), nobody()),
        "ListUnverified" => (encode(ListUnverifiedRequest::default()), done()),
        "CountUnverified" => (encode(CountUnverifiedRequest::default()), done()),
        "PurgeExpired" => (encode(PurgeExpiredRequest::default()), done()),
        "PurgeUnverified" => {
            let filter = UnverifiedFilter { expired: Some(true), ..Default::default() };
            (encode(PurgeUnverifiedRequest { filter: Some(filter), ..Default::default() }), done())
        }
        "RemindUnverified" => (encode(RemindUnverifiedRequest::default()), done()),
        "GetUser" => {
            let user = get_user_request::User::UserId(user_id);
            (encode(GetUserRequest { user: Some(user) }), nobody())
        }
        "ListUsers" => (encode(ListUsersRequest::default()), done()),
        // Five of these for one name are answered so, and RATE_LIMITED from then on; what is wrong in a field comes first.
        "VerifyPassword" => {
            let user = Some(verify_password_request::User::UserId(user_id));
            let request =
                VerifyPasswordRequest { user, password: "correct horse".to_owned(), ..Default::default() };
            (encode(request), Answer::new(Code::Unauthenticated, "INVALID_CREDENTIALS", &[]))
        }
        "SetPassword" => {
            (encode(SetPasswordRequest { user_id, password: "correct horse".to_owned() }), nobody())
        }
        "RecordLogin" => (encode(RecordLoginRequest { user_id, login_time: None }), nobody()),
        "ActivateUser" => (encode(ActivateUserRequest { user_id }), nobody()),
        "DisableUser" => (encode(DisableUserRequest { user_id }), nobody()),
        "EnableUser" => (encode(EnableUserRequest { user_id }), nobody()),
        "DeleteUser" => (encode(DeleteUserRequest { user_id }), nobody()),
        "ListEmailAddresses" => (encode(ListEmailAddressesRequest { user_id }), nobody()),
        "AddEmailAddress" => {
            (encode(AddEmailAddressRequest { user_id, email, ..Default::default() }), nobody())
        }
        "SendVerificationEmail" => {
            (encode(SendVerificationEmailRequest { user_id, email, ..Default::default() }), nobody())
        }
        "VerifyEmailAddress" => (encode(VerifyEmailAddressRequest { key: activation_key }), no_key()),
        "SetPrimaryEmailAddress" => (encode(SetPrimaryEmailAddressRequest { user_id, email }), nobody()),
        "RemoveEmailAddress" => (encode(RemoveEmailAddressRequest { user_id, email }), nobody()),
        "ListEvents" => (encode(ListEventsRequest::default()), done()),
        "WatchEvents" => (encode(WatchEventsRequest::default()), done()),
        "ListMails" => (encode(ListMailsRequest::default()), done()),
        "GetMail" => (encode(GetMailRequest { mail_id }), no_mail()),
        "RetryMail" => (encode(RetryMailRequest { mail_id }), no_mail()),
        "DiscardMail" => (encode(DiscardMailRequest { mail_id }), no_mail()),
        // A temporary one: it changes nothing, whatever it is reported of.
        "ReportBounce" => {
            let bounced = Some(report_bounce_request::Bounced::MailId(mail_id));
            (encode(ReportBounceRequest { bounced, ..Default::default() }), no_mail())
        }
        "ListSuppressions" => (encode(ListSuppressionsRequest::default()), done()),
        "LiftSuppression" => {
            let answer = Answer::new(Code::NotFound, "SUPPRESSION_NOT_FOUND", &[]);
            (encode(LiftSuppressionRequest { email }), answer)
        }
        _ => panic!("{} has no valid request yet", method.full_name()),
    };
    (DynamicMessage::decode(method.input(), bytes.as_slice()).unwrap(), answer)
}

/// A request that the field can be part of: the call's own, unless two ways to ask exclude each other.
pub fn around(call: &Call, field: &str) -> DynamicMessage {
    if call.method.name() != "Activate" || !["email", "code"].contains(&field) {
        return call.request.clone();
    }
    let by_code = ActivateRequest { email: sample("email"), code: sample("code"), ..Default::default() };
    DynamicMessage::decode(call.method.input(), encode(by_code).as_slice()).unwrap()
}

/// What a text field holds when it is right; the last name of its path tells what it is.
pub fn sample(name: &str) -> String {
    match name {
        "username" | "username_prefix" => "alice".to_owned(),
        "email" | "recipient" => EMAIL.to_owned(),
        "email_domain" => "example.com".to_owned(),
        "password" => "correct horse".to_owned(),
        "device" => "0123456789abcdef".to_owned(),
        "site" => "default".to_owned(),
        "locale" => "de-AT".to_owned(),
        "user_id" | "mail_id" | "request_id" => Uuid::nil().to_string(),
        "activation_key" | "key" => KEY.to_owned(),
        "code" => "01234567".to_owned(),
        "reason" => "550 5.1.1 no such mailbox".to_owned(),
        "page_token" => String::new(),
        // A position of another log.
        "after" => "0".repeat(48),
        _ => panic!("nobody has said what a right {name} is"),
    }
}

fn encode(request: impl prost::Message) -> Vec<u8> {
    request.encode_to_vec()
}
