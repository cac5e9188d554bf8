//! The real client, with a line for what most tests do.

use std::net::SocketAddr;

use tonic::{
    Code, IntoRequest, Response, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;
use vestibule::{
    domain::Timestamp,
    grpc::proto::{
        ActivateRequest, ActivateResponse, ActivateUserRequest, ActivateUserResponse, AddEmailAddressRequest,
        AddEmailAddressResponse, CountUnverifiedRequest, CountUnverifiedResponse, CreateInactiveUserRequest,
        CreateInactiveUserResponse, CreateRegistrationProfileRequest, CreateRegistrationProfileResponse,
        DeleteRegistrationProfileRequest, DeleteRegistrationProfileResponse, DeleteUserRequest,
        DeleteUserResponse, DisableUserRequest, DisableUserResponse, DiscardMailRequest, DiscardMailResponse,
        EmailAddress, EnableUserRequest, EnableUserResponse, GetMailRequest, GetMailResponse,
        GetRegistrationProfileRequest, GetRegistrationProfileResponse, GetUserRequest, GetUserResponse,
        InspectActivationKeyRequest, InspectActivationKeyResponse, LiftSuppressionRequest,
        LiftSuppressionResponse, ListEmailAddressesRequest, ListEmailAddressesResponse, ListEventsRequest,
        ListEventsResponse, ListMailsRequest, ListMailsResponse, ListSuppressionsRequest,
        ListSuppressionsResponse, ListUnverifiedRequest, ListUnverifiedResponse, ListUsersRequest,
        ListUsersResponse, MailState, PurgeExpiredRequest, PurgeExpiredResponse, PurgeUnverifiedRequest,
        PurgeUnverifiedResponse, RecordLoginRequest, RecordLoginResponse, RegistrationProfile,
        ReissueActivationKeyRequest, ReissueActivationKeyResponse, RemindUnverifiedRequest,
        RemindUnverifiedResponse, RemoveEmailAddressRequest, RemoveEmailAddressResponse, ReportBounceRequest,
        ReportBounceResponse, RetryMailRequest, RetryMailResponse, SendActivationEmailRequest,
        SendActivationEmailResponse, SendVerificationEmailRequest, SendVerificationEmailResponse,
        SetPasswordRequest, SetPasswordResponse, SetPrimaryEmailAddressRequest,
        SetPrimaryEmailAddressResponse, User, VerifyEmailAddressRequest, VerifyEmailAddressResponse,
        VerifyPasswordRequest, VerifyPasswordResponse, WatchEventsRequest, WatchEventsResponse,
        email_address_service_client::EmailAddressServiceClient, event_service_client::EventServiceClient,
        get_user_request, mail_service_client::MailServiceClient,
        registration_service_client::RegistrationServiceClient, send_activation_email_request,
        user_service_client::UserServiceClient, verify_password_request,
    },
};

/// Every service over one connection.
#[derive(Clone)]
pub struct Client {
    registrations: RegistrationServiceClient<Channel>,
    users: UserServiceClient<Channel>,
    addresses: EmailAddressServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    mails: MailServiceClient<Channel>,
}

/// A pending user whose key was not mailed.
#[derive(Debug, Clone)]
pub struct Registered {
    pub id: Uuid,
    pub key: String,
    pub expire_time: Timestamp,
}

macro_rules! calls {
    ($service:ident: $($call:ident($request:ident) -> $response:ty,)*) => {
        $(pub async fn $call(&self, request: impl IntoRequest<$request>) -> Result<$response, Status> {
            self.$service.clone().$call(request).await.map(Response::into_inner)
        })*
    };
}

impl Client {
    calls! { registrations:
        create_inactive_user(CreateInactiveUserRequest) -> CreateInactiveUserResponse,
        activate(ActivateRequest) -> ActivateResponse,
        inspect_activation_key(InspectActivationKeyRequest) -> InspectActivationKeyResponse,
        send_activation_email(SendActivationEmailRequest) -> SendActivationEmailResponse,
        reissue_activation_key(ReissueActivationKeyRequest) -> ReissueActivationKeyResponse,
        get_registration_profile(GetRegistrationProfileRequest) -> GetRegistrationProfileResponse,
        create_registration_profile(CreateRegistrationProfileRequest) -> CreateRegistrationProfileResponse,
        delete_registration_profile(DeleteRegistrationProfileRequest) -> DeleteRegistrationProfileResponse,
        list_unverified(ListUnverifiedRequest) -> ListUnverifiedResponse,
        count_unverified(CountUnverifiedRequest) -> CountUnverifiedResponse,
        purge_expired(PurgeExpiredRequest) -> PurgeExpiredResponse,
        purge_unverified(PurgeUnverifiedRequest) -> PurgeUnverifiedResponse,
        remind_unverified(RemindUnverifiedRequest) -> RemindUnverifiedResponse,
    }

    calls! { users:
        get_user(GetUserRequest) -> GetUserResponse,
        list_users(ListUsersRequest) -> ListUsersResponse,
        verify_password(VerifyPasswordRequest) -> VerifyPasswordResponse,
        set_password(SetPasswordRequest) -> SetPasswordResponse,
        record_login(RecordLoginRequest) -> RecordLoginResponse,
        activate_user(ActivateUserRequest) -> ActivateUserResponse,
        disable_user(DisableUserRequest) -> DisableUserResponse,
        enable_user(EnableUserRequest) -> EnableUserResponse,
        delete_user(DeleteUserRequest) -> DeleteUserResponse,
    }

    calls! { events:
        list_events(ListEventsRequest) -> ListEventsResponse,
        watch_events(WatchEventsRequest) -> Streaming<WatchEventsResponse>,
    }

    calls! { addresses:
        list_email_addresses(ListEmailAddressesRequest) -> ListEmailAddressesResponse,
        add_email_address(AddEmailAddressRequest) -> AddEmailAddressResponse,
        send_verification_email(SendVerificationEmailRequest) -> SendVerificationEmailResponse,
        verify_email_address(VerifyEmailAddressRequest) -> VerifyEmailAddressResponse,
        set_primary_email_address(SetPrimaryEmailAddressRequest) -> SetPrimaryEmailAddressResponse,
        remove_email_address(RemoveEmailAddressRequest) -> RemoveEmailAddressResponse,
    }

    calls! { mails:
        list_mails(ListMailsRequest) -> ListMailsResponse,
        get_mail(GetMailRequest) -> GetMailResponse,
        retry_mail(RetryMailRequest) -> RetryMailResponse,
        discard_mail(DiscardMailRequest) -> DiscardMailResponse,
        report_bounce(ReportBounceRequest) -> ReportBounceResponse,
        list_suppressions(ListSuppressionsRequest) -> ListSuppressionsResponse,
        lift_suppression(LiftSuppressionRequest) -> LiftSuppressionResponse,
    }

    /// A client over this connection.
    pub fn new(channel: Channel) -> Self {
        Self {
            registrations: RegistrationServiceClient::new(channel.clone()),
            users: UserServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            addresses: EmailAddressServiceClient::new(channel.clone()),
            mails: MailServiceClient::new(channel),
        }
    }

    /// A client over a connection of its own.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
    }

    /// Registers somebody, and has the key returned instead of mailed.
    pub async fn register(&self, username: &str, email: &str) -> Registered {
        let request = CreateInactiveUserRequest {
            username: username.to_owned(),
            email: email.to_owned(),
            send_email: Some(false),
            ..Default::default()
        };
        let created = self.create_inactive_user(request).await.unwrap();
        Registered {
            id: created.user.unwrap().id.parse().unwrap(),
            key: created.activation_key,
            expire_time: instant(created.expire_time),
        }
    }

    /// Registers somebody, and has the key mailed.
    pub async fn register_by_mail(&self, username: &str, email: &str) -> User {
        let request = CreateInactiveUserRequest {
            username: username.to_owned(),
            email: email.to_owned(),
            ..Default::default()
        };
        self.create_inactive_user(request).await.unwrap().user.unwrap()
    }

    /// Uses a key.
    pub async fn use_key(&self, key: &str) -> Result<User, Status> {
        let request = ActivateRequest { activation_key: key.to_owned(), ..Default::default() };
        Ok(self.activate(request).await?.user.unwrap())
    }

    /// Logs in by a password.
    pub async fn log_in(&self, user: verify_password_request::User, password: &str) -> Result<User, Status> {
        self.log_in_from("", user, password).await
    }

    /// Logs in by a password from a device; empty means none.
    pub async fn log_in_from(
        &self,
        device: &str,
        user: verify_password_request::User,
        password: &str,
    ) -> Result<User, Status> {
        let (password, device) = (password.to_owned(), device.to_owned());
        let request = VerifyPasswordRequest { user: Some(user), password, device };
        Ok(self.verify_password(request).await?.user.unwrap())
    }

    /// Looks at a key.
    pub async fn inspect(&self, key: &str) -> Result<InspectActivationKeyResponse, Status> {
        self.inspect_activation_key(InspectActivationKeyRequest { activation_key: key.to_owned() }).await
    }

    /// Mails whoever is named.
    pub async fn mail_to(&self, user: send_activation_email_request::User) -> Result<(), Status> {
        self.send_activation_email(SendActivationEmailRequest { user: Some(user), ..Default::default() })
            .await
            .map(|_| ())
    }

    /// The user who is named.
    pub async fn user(&self, user: get_user_request::User) -> Result<User, Status> {
        Ok(self.get_user(GetUserRequest { user: Some(user) }).await?.user.unwrap())
    }

    /// The addresses of a user.
    pub async fn addresses(&self, user_id: &str) -> Result<Vec<EmailAddress>, Status> {
        let request = ListEmailAddressesRequest { user_id: user_id.to_owned() };
        Ok(self.list_email_addresses(request).await?.email_addresses)
    }

    /// Gives a user a further address.
    pub async fn add(&self, user_id: &str, email: &str) -> Result<Vec<EmailAddress>, Status> {
        let (user_id, email) = (user_id.to_owned(), email.to_owned());
        Ok(self
            .add_email_address(AddEmailAddressRequest { user_id, email, ..Default::default() })
            .await?
            .email_addresses)
    }

    /// Mails a further key to an address of a user.
    pub async fn send_verification(&self, user_id: &str, email: &str) -> Result<Vec<EmailAddress>, Status> {
        let request = SendVerificationEmailRequest {
            user_id: user_id.to_owned(),
            email: email.to_owned(),
            ..Default::default()
        };
        Ok(self.send_verification_email(request).await?.email_addresses)
    }

    /// Uses a key that verifies an address.
    pub async fn verify(&self, key: &str) -> Result<VerifyEmailAddressResponse, Status> {
        self.verify_email_address(VerifyEmailAddressRequest { key: key.to_owned() }).await
    }

    /// Makes an address of a user the primary one.
    pub async fn set_primary(&self, user_id: &str, email: &str) -> Result<Vec<EmailAddress>, Status> {
        let request = SetPrimaryEmailAddressRequest { user_id: user_id.to_owned(), email: email.to_owned() };
        Ok(self.set_primary_email_address(request).await?.email_addresses)
    }

    /// Removes an address of a user.
    pub async fn remove(&self, user_id: &str, email: &str) -> Result<Vec<EmailAddress>, Status> {
        let request = RemoveEmailAddressRequest { user_id: user_id.to_owned(), email: email.to_owned() };
        Ok(self.remove_email_address(request).await?.email_addresses)
    }

    /// The profile of a user.
    pub async fn profile(&self, user_id: &str) -> Result<RegistrationProfile, Status> {
        let request = GetRegistrationProfileRequest { user_id: user_id.to_owned() };
        Ok(self.get_registration_profile(request).await?.registration_profile.unwrap())
    }

    /// Deletes whoever has expired.
    pub async fn purge(&self) -> PurgeExpiredResponse {
        self.purge_expired(PurgeExpiredRequest::default()).await.unwrap()
    }

    /// Returns once so many mails were delivered to a user and the latest of all is in `state`.
    pub async fn wait_for_mail(&self, user_id: &str, mails_sent: i32, state: MailState) {
        super::eventually(&format!("{mails_sent} mails, the latest {state:?}"), move || async move {
            let profile = self.profile(user_id).await.unwrap();
            profile.mails_sent == mails_sent && profile.last_mail_state == Some(state.into())
        })
        .await;
    }
}

/// What a message says of time, which must be there.
pub fn instant(time: Option<prost_types::Timestamp>) -> Timestamp {
    let time = time.unwrap();
    Timestamp::from_timestamp(time.seconds, time.nanos.try_into().unwrap()).unwrap()
}

/// An instant as messages carry it.
pub fn wire(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.timestamp_subsec_nanos().try_into().unwrap();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// The reason that a status of ours carries.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "vestibule");
    info.reason.clone()
}

/// The details of a refusal, which must be this one.
pub fn refused<T>(outcome: Result<T, Status>, code: Code, because: &str) -> ErrorDetails {
    let Err(status) = outcome else { panic!("not refused, but {because} was expected") };
    assert_eq!((status.code(), reason(&status).as_str()), (code, because), "{status:?}");
    status.get_error_details()
}
