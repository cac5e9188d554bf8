//! RegistrationService.

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status, async_trait};

use super::{
    caller::caller,
    calls::{Calls, deadline},
    convert,
    page_token::Query,
    proto::{
        ActivateRequest, ActivateResponse, CountUnverifiedRequest, CountUnverifiedResponse,
        CreateInactiveUserRequest, CreateInactiveUserResponse, CreateRegistrationProfileRequest,
        CreateRegistrationProfileResponse, DeleteRegistrationProfileRequest,
        DeleteRegistrationProfileResponse, GetRegistrationProfileRequest, GetRegistrationProfileResponse,
        InspectActivationKeyRequest, InspectActivationKeyResponse, ListUnverifiedRequest,
        ListUnverifiedResponse, PurgeExpiredRequest, PurgeExpiredResponse, PurgeUnverifiedRequest,
        PurgeUnverifiedResponse, ReissueActivationKeyRequest, ReissueActivationKeyResponse,
        RemindUnverifiedRequest, RemindUnverifiedResponse, SendActivationEmailRequest,
        SendActivationEmailResponse, registration_service_server::RegistrationService,
    },
    status,
    validate::{self, Fields, Proof},
};
use crate::{
    domain::{
        activation_key::ActivationKey, email_address::EmailAddress, locale::Locale, page::PageSize,
        site::SiteId, unverified::CallLimit, user::UserId, username::Username,
    },
    operations::{CreateInactiveUser, PurgeExpired, PurgeUnverified, RemindUnverified},
};

/// Answers RegistrationService.
pub struct RegistrationHandler {
    calls: Calls,
}

impl RegistrationHandler {
    /// Answers by running `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

#[async_trait]
impl RegistrationService for RegistrationHandler {
    async fn create_inactive_user(
        &self,
        request: Request<CreateInactiveUserRequest>,
    ) -> Result<Response<CreateInactiveUserResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let username = Username::parse(&request.username);
        let policy = self.calls.username_policy();
        let username = fields.check("username", username.and_then(|name| policy.check(&name).map(|()| name)));
        let policy = self.calls.email_policy();
        let email = EmailAddress::parse(&request.email);
        let email = email.and_then(|email| policy.check(&email).map(|warnings| (email, warnings)));
        let (email, warnings) = fields.check("email", email).unzip();
        let password = fields.password(request.password.as_deref());
        let policy = self.calls.password_policy();
        let password = fields.new_password(policy, password, username.as_ref(), email.as_ref());
        let site = Some(request.site.as_str()).filter(|site| !site.is_empty());
        let site = fields.check_optional("site", site, SiteId::parse);
        let locale = Some(request.locale.as_str()).filter(|locale| !locale.is_empty());
        let locale = fields.check_optional("locale", locale, Locale::parse);
        let call = fields.call(caller, &request.request_id);
        let (Some(username), Some(email), Some(password), Some(site), Some(locale), Some(call)) =
            (username, email, password, site, locale, call)
        else {
            return Err(fields.refuse());
        };
        let (asked_username, asked_email) = (username.clone(), email.clone());
        let send_email = request.send_email.unwrap_or(true);
        let registration = CreateInactiveUser { username, email, password, send_email, site, locale, call };
        let created = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.create_inactive_user(registration).await })
            .await?
            .map_err(|error| status::create_inactive_user(error, &asked_username, &asked_email))?;
        Ok(Response::new(CreateInactiveUserResponse {
            user: Some(convert::user(created.user)),
            expire_time: Some(convert::timestamp(created.expire_time)),
            activation_key: expose(created.activation_key),
            warnings: warnings.into_iter().flatten().chain(created.warnings).map(convert::warning).collect(),
        }))
    }

    async fn activate(
        &self,
        request: Request<ActivateRequest>,
    ) -> Result<Response<ActivateResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let proof = fields.proof(request.activation_key, &request.email, &request.code);
        let password = fields.password(request.password.as_deref());
        let (Some(proof), Some(password)) = (proof, password) else { return Err(fields.refuse()) };
        let user = self
            .calls
            .run(deadline, |vestibule| async move {
                match proof {
                    Proof::Key(key) => vestibule.activate(key.expose_secret(), password).await,
                    Proof::Code(email, code) => vestibule.activate_by_code(&email, code, password).await,
                }
            })
            .await?
            .map_err(status::activate)?;
        Ok(Response::new(ActivateResponse { user: Some(convert::user(user)) }))
    }

    async fn inspect_activation_key(
        &self,
        request: Request<InspectActivationKeyRequest>,
    ) -> Result<Response<InspectActivationKeyResponse>, Status> {
        let deadline = deadline(&request);
        let key = SecretString::from(request.into_inner().activation_key);
        let inspected =
            self.calls
                .run(deadline, |vestibule| async move {
                    vestibule.inspect_activation_key(key.expose_secret()).await
                })
                .await?
                .map_err(status::inspect_activation_key)?;
        Ok(Response::new(convert::inspected_key(&inspected)))
    }

    async fn send_activation_email(
        &self,
        request: Request<SendActivationEmailRequest>,
    ) -> Result<Response<SendActivationEmailResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let name = fields.user_name(request.user);
        let call = fields.call(caller, &request.request_id);
        let (Some(name), Some(call)) = (name, call) else { return Err(fields.refuse()) };
        let asked = status::resource(&name);
        self.calls
            .run(deadline, |vestibule| async move { vestibule.send_activation_email(&name, &call).await })
            .await?
            .map_err(|error| status::issue_key(error, &asked))?;
        Ok(Response::new(SendActivationEmailResponse {}))
    }

    async fn reissue_activation_key(
        &self,
        request: Request<ReissueActivationKeyRequest>,
    ) -> Result<Response<ReissueActivationKeyResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let issued = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.reissue_activation_key(user_id).await })
            .await?
            .map_err(|error| status::issue_key(error, &user_id.to_string()))?;
        Ok(Response::new(ReissueActivationKeyResponse {
            activation_key: issued.activation_key.expose().to_owned(),
            expire_time: Some(convert::timestamp(issued.expire_time)),
        }))
    }

    async fn get_registration_profile(
        &self,
        request: Request<GetRegistrationProfileRequest>,
    ) -> Result<Response<GetRegistrationProfileResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let found = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.get_registration_profile(user_id).await })
            .await?
            .map_err(|error| status::get_registration_profile(error, user_id))?;
        Ok(Response::new(GetRegistrationProfileResponse {
            registration_profile: Some(convert::profile(&found)),
        }))
    }

    async fn create_registration_profile(
        &self,
        request: Request<CreateRegistrationProfileRequest>,
    ) -> Result<Response<CreateRegistrationProfileResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let user_id = fields.check("user_id", UserId::parse(&request.user_id));
        let call = fields.call(caller, &request.request_id);
        let (Some(user_id), Some(call)) = (user_id, call) else { return Err(fields.refuse()) };
        let send_email = request.send_email.unwrap_or(true);
        let created = self
            .calls
            .run(deadline, |vestibule| async move {
                vestibule.create_registration_profile(user_id, send_email, &call).await
            })
            .await?
            .map_err(|error| status::create_registration_profile(error, user_id))?;
        Ok(Response::new(CreateRegistrationProfileResponse {
            registration_profile: Some(convert::profile(&created.status)),
            activation_key: expose(created.activation_key),
        }))
    }

    async fn delete_registration_profile(
        &self,
        request: Request<DeleteRegistrationProfileRequest>,
    ) -> Result<Response<DeleteRegistrationProfileResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let deleted = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.delete_registration_profile(user_id).await })
            .await?
            .map_err(|error| status::delete_registration_profile(error, user_id))?;
        Ok(Response::new(DeleteRegistrationProfileResponse {
            registration_profile: Some(convert::profile(&deleted)),
        }))
    }

    async fn list_unverified(
        &self,
        request: Request<ListUnverifiedRequest>,
    ) -> Result<Response<ListUnverifiedResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let filter = validate::unverified_filter(&mut fields, request.filter.as_ref());
        let size = fields.check("page_size", PageSize::parse(request.page_size));
        let (Some(filter), Some(size)) = (filter, size) else { return Err(fields.refuse()) };
        let (keyring, random) = self.calls.sealing();
        let query = Query::new("ListUnverified", &request.filter.unwrap_or_default(), &caller);
        let after = query.read(keyring, &request.page_token)?;
        let page = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.list_unverified(&filter, size, after).await })
            .await?
            .map_err(status::list_unverified)?;
        Ok(Response::new(ListUnverifiedResponse {
            next_page_token: query.write(keyring, random, page.next),
            users: page.items.into_iter().map(convert::unverified_user).collect(),
        }))
    }

    async fn count_unverified(
        &self,
        request: Request<CountUnverifiedRequest>,
    ) -> Result<Response<CountUnverifiedResponse>, Status> {
        let deadline = deadline(&request);
        let mut fields = Fields::default();
        let filter = validate::unverified_filter(&mut fields, request.into_inner().filter.as_ref());
        let filter = filter.ok_or_else(|| fields.refuse())?;
        let count = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.count_unverified(&filter).await })
            .await?
            .map_err(status::list_unverified)?;
        Ok(Response::new(CountUnverifiedResponse { count: i64::try_from(count).unwrap_or(i64::MAX) }))
    }

    async fn remind_unverified(
        &self,
        request: Request<RemindUnverifiedRequest>,
    ) -> Result<Response<RemindUnverifiedResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let selection = validate::selection(&mut fields, request.filter.as_ref(), request.limit);
        let call = fields.call(caller, &request.request_id);
        let (Some((filter, limit)), Some(call)) = (selection, call) else { return Err(fields.refuse()) };
        let deadline_time = deadline.map(|deadline| deadline.0);
        let reminders =
            RemindUnverified { filter, force: request.force, limit, deadline: deadline_time, call };
        let reminded = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.remind_unverified(reminders).await })
            .await?
            .map_err(status::remind_unverified)?;
        Ok(Response::new(convert::reminded(reminded)))
    }

    async fn purge_unverified(
        &self,
        request: Request<PurgeUnverifiedRequest>,
    ) -> Result<Response<PurgeUnverifiedResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let selection = validate::selection(&mut fields, request.filter.as_ref(), request.limit);
        let (filter, limit) = selection.ok_or_else(|| fields.refuse())?;
        let deadline_time = deadline.map(|deadline| deadline.0);
        let purge = PurgeUnverified { filter, force: request.force, limit, deadline: deadline_time };
        let purged = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.purge_unverified(purge).await })
            .await?
            .map_err(status::purge_unverified)?;
        Ok(Response::new(convert::unverified_purged(purged)))
    }

    async fn purge_expired(
        &self,
        request: Request<PurgeExpiredRequest>,
    ) -> Result<Response<PurgeExpiredResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let purge = PurgeExpired {
            validate_only: request.validate_only,
            include_disabled: request.include_disabled,
            limit: validate::field("limit", CallLimit::parse(request.limit))?,
            deadline: deadline.map(|deadline| deadline.0),
        };
        let purged = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.purge_expired(purge).await })
            .await?
            .map_err(status::purge_expired)?;
        Ok(Response::new(convert::purged(purged)))
    }
}

fn expose(key: Option<ActivationKey>) -> String {
    key.map(|key| key.expose().to_owned()).unwrap_or_default()
}
