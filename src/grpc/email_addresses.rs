//! EmailAddressService.

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status, async_trait};

use super::{
    caller::{Caller, caller},
    calls::{Calls, deadline},
    convert,
    proto::{
        AddEmailAddressRequest, AddEmailAddressResponse, ListEmailAddressesRequest,
        ListEmailAddressesResponse, RemoveEmailAddressRequest, RemoveEmailAddressResponse,
        SendVerificationEmailRequest, SendVerificationEmailResponse, SetPrimaryEmailAddressRequest,
        SetPrimaryEmailAddressResponse, VerifyEmailAddressRequest, VerifyEmailAddressResponse,
        email_address_service_server::EmailAddressService,
    },
    status,
    validate::{self, Fields},
};
use crate::domain::{email_address::EmailAddress, request::Call, user::UserId};

/// Answers EmailAddressService.
pub struct EmailAddressHandler {
    calls: Calls,
}

impl EmailAddressHandler {
    /// Answers by running `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

#[async_trait]
impl EmailAddressService for EmailAddressHandler {
    async fn list_email_addresses(
        &self,
        request: Request<ListEmailAddressesRequest>,
    ) -> Result<Response<ListEmailAddressesResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let addresses = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.list_email_addresses(user_id).await })
            .await?
            .map_err(|error| status::list_email_addresses(error, user_id))?;
        Ok(Response::new(ListEmailAddressesResponse { email_addresses: convert::email_addresses(addresses) }))
    }

    async fn add_email_address(
        &self,
        request: Request<AddEmailAddressRequest>,
    ) -> Result<Response<AddEmailAddressResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let (user_id, email, call) =
            user_email_and_call(&request.user_id, &request.email, caller, &request.request_id)?;
        let warnings = validate::field("email", self.calls.email_policy().check(&email))?;
        let asked = email.clone();
        let added = self
            .calls
            .run(
                deadline,
                |vestibule| async move { vestibule.add_email_address(user_id, email, &call).await },
            )
            .await?
            .map_err(|error| status::add_email_address(error, user_id, &asked))?;
        Ok(Response::new(AddEmailAddressResponse {
            email_addresses: convert::email_addresses(added.addresses),
            warnings: warnings.into_iter().chain(added.warnings).map(convert::warning).collect(),
        }))
    }

    async fn send_verification_email(
        &self,
        request: Request<SendVerificationEmailRequest>,
    ) -> Result<Response<SendVerificationEmailResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let (user_id, email, call) =
            user_email_and_call(&request.user_id, &request.email, caller, &request.request_id)?;
        let asked = email.clone();
        let addresses = self
            .calls
            .run(deadline, |vestibule| async move {
                vestibule.send_verification_email(user_id, email, &call).await
            })
            .await?
            .map_err(|error| status::email_address(error, user_id, &asked))?;
        let email_addresses = convert::email_addresses(addresses);
        Ok(Response::new(SendVerificationEmailResponse { email_addresses }))
    }

    async fn verify_email_address(
        &self,
        request: Request<VerifyEmailAddressRequest>,
    ) -> Result<Response<VerifyEmailAddressResponse>, Status> {
        let deadline = deadline(&request);
        let key = SecretString::from(request.into_inner().key);
        let verified =
            self.calls
                .run(deadline, |vestibule| async move {
                    vestibule.verify_email_address(key.expose_secret()).await
                })
                .await?
                .map_err(status::verify_email_address)?;
        Ok(Response::new(VerifyEmailAddressResponse {
            email_addresses: convert::email_addresses(verified.addresses),
            user_id: verified.user_id.to_string(),
            email: verified.email,
        }))
    }

    async fn set_primary_email_address(
        &self,
        request: Request<SetPrimaryEmailAddressRequest>,
    ) -> Result<Response<SetPrimaryEmailAddressResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let (user_id, email) = user_and_email(&request.user_id, &request.email)?;
        let asked = email.clone();
        let addresses =
            self.calls
                .run(deadline, |vestibule| async move {
                    vestibule.set_primary_email_address(user_id, email).await
                })
                .await?
                .map_err(|error| status::email_address(error, user_id, &asked))?;
        let email_addresses = convert::email_addresses(addresses);
        Ok(Response::new(SetPrimaryEmailAddressResponse { email_addresses }))
    }

    async fn remove_email_address(
        &self,
        request: Request<RemoveEmailAddressRequest>,
    ) -> Result<Response<RemoveEmailAddressResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let (user_id, email) = user_and_email(&request.user_id, &request.email)?;
        let asked = email.clone();
        let addresses = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.remove_email_address(user_id, email).await })
            .await?
            .map_err(|error| status::email_address(error, user_id, &asked))?;
        Ok(Response::new(RemoveEmailAddressResponse { email_addresses: convert::email_addresses(addresses) }))
    }
}

/// The two fields that most of these calls have, or what is wrong with both.
fn user_and_email(user_id: &str, email: &str) -> Result<(UserId, EmailAddress), Status> {
    let mut fields = Fields::default();
    let user_id = fields.check("user_id", UserId::parse(user_id));
    let email = fields.check("email", EmailAddress::parse(email));
    user_id.zip(email).ok_or_else(|| fields.refuse())
}

/// The fields of the calls that have a mail sent, or what is wrong with all of them.
fn user_email_and_call(
    user_id: &str,
    email: &str,
    caller: Caller,
    request_id: &str,
) -> Result<(UserId, EmailAddress, Call), Status> {
    let mut fields = Fields::default();
    let user_id = fields.check("user_id", UserId::parse(user_id));
    let email = fields.check("email", EmailAddress::parse(email));
    let call = fields.call(caller, request_id);
    let (Some(user_id), Some(email), Some(call)) = (user_id, email, call) else {
        return Err(fields.refuse());
    };
    Ok((user_id, email, call))
}
