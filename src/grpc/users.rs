//! UserService.

use tonic::{Request, Response, Status, async_trait};

use super::{
    caller::caller,
    calls::{Calls, deadline},
    convert,
    page_token::Query,
    proto::{
        ActivateUserRequest, ActivateUserResponse, DeleteUserRequest, DeleteUserResponse, DisableUserRequest,
        DisableUserResponse, EnableUserRequest, EnableUserResponse, GetUserRequest, GetUserResponse,
        ListUsersRequest, ListUsersResponse, RecordLoginRequest, RecordLoginResponse, SetPasswordRequest,
        SetPasswordResponse, VerifyPasswordRequest, VerifyPasswordResponse, user_service_server::UserService,
    },
    status,
    validate::{self, Fields},
};
use crate::domain::{
    device::Device,
    page::PageSize,
    password_guess::Guess,
    user::{UserFilter, UserId},
};

/// Answers UserService.
pub struct UserHandler {
    calls: Calls,
}

impl UserHandler {
    /// Answers by running `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

#[async_trait]
impl UserService for UserHandler {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let deadline = deadline(&request);
        let name = validate::user_name(request.into_inner().user)?;
        let asked = status::resource(&name);
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.get_user(&name).await })
            .await?
            .map_err(|error| status::get_user(error, &asked))?;
        Ok(Response::new(GetUserResponse { user: Some(convert::user(user)) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let state = fields.check("state", validate::user_state(request.state));
        let prefix = validate::username_prefix(&mut fields, "username_prefix", &request.username_prefix);
        let size = fields.check("page_size", PageSize::parse(request.page_size));
        let (Some(state), Some(username_prefix), Some(size)) = (state, prefix, size) else {
            return Err(fields.refuse());
        };
        let (keyring, random) = self.calls.sealing();
        let conditions = ListUsersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let query = Query::new("ListUsers", &conditions, &caller);
        let after = query.read(keyring, &request.page_token)?;
        let filter = UserFilter { state, username_prefix };
        let page = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.list_users(&filter, size, after).await })
            .await?
            .map_err(status::list_users)?;
        Ok(Response::new(ListUsersResponse {
            next_page_token: query.write(keyring, random, page.next),
            users: page.items.into_iter().map(convert::user).collect(),
        }))
    }

    async fn verify_password(
        &self,
        request: Request<VerifyPasswordRequest>,
    ) -> Result<Response<VerifyPasswordResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        // What can be no password is refused before anybody is looked for, and so tells of nobody.
        let mut fields = Fields::default();
        let name = fields.user_name(request.user);
        let password = fields.password(Some(&request.password)).flatten();
        let device = Some(request.device.as_str()).filter(|device| !device.is_empty());
        let device = fields.check_optional("device", device, Device::parse);
        let (Some(name), Some(password), Some(device)) = (name, password, device) else {
            return Err(fields.refuse());
        };
        let guess = Guess::new(name, device.as_ref());
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.verify_password(&guess, password).await })
            .await?
            .map_err(status::verify_password)?;
        Ok(Response::new(VerifyPasswordResponse { user: Some(convert::user(user)) }))
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let user_id = fields.check("user_id", UserId::parse(&request.user_id));
        let password = fields.password(Some(&request.password)).flatten();
        let (Some(user_id), Some(password)) = (user_id, password) else { return Err(fields.refuse()) };
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.set_password(user_id, password).await })
            .await?
            .map_err(|error| status::set_password(error, user_id))?;
        Ok(Response::new(SetPasswordResponse { user: Some(convert::user(user)) }))
    }

    async fn record_login(
        &self,
        request: Request<RecordLoginRequest>,
    ) -> Result<Response<RecordLoginResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let user_id = fields.check("user_id", UserId::parse(&request.user_id));
        let login_time = request.login_time.as_ref().map(validate::timestamp).transpose();
        let login_time = fields.check("login_time", login_time);
        let (Some(user_id), Some(login_time)) = (user_id, login_time) else { return Err(fields.refuse()) };
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.record_login(user_id, login_time).await })
            .await?
            .map_err(|error| status::record_login(error, user_id))?;
        Ok(Response::new(RecordLoginResponse { user: Some(convert::user(user)) }))
    }

    async fn activate_user(
        &self,
        request: Request<ActivateUserRequest>,
    ) -> Result<Response<ActivateUserResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.activate_user(user_id).await })
            .await?
            .map_err(|error| status::activate_user(error, user_id))?;
        Ok(Response::new(ActivateUserResponse { user: Some(convert::user(user)) }))
    }

    async fn disable_user(
        &self,
        request: Request<DisableUserRequest>,
    ) -> Result<Response<DisableUserResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.disable_user(user_id).await })
            .await?
            .map_err(|error| status::disable_user(error, user_id))?;
        Ok(Response::new(DisableUserResponse { user: Some(convert::user(user)) }))
    }

    async fn enable_user(
        &self,
        request: Request<EnableUserRequest>,
    ) -> Result<Response<EnableUserResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.enable_user(user_id).await })
            .await?
            .map_err(|error| status::enable_user(error, user_id))?;
        Ok(Response::new(EnableUserResponse { user: Some(convert::user(user)) }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let deadline = deadline(&request);
        let user_id = validate::user_id(&request.into_inner().user_id)?;
        let user = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.delete_user(user_id).await })
            .await?
            .map_err(|error| status::delete_user(error, user_id))?;
        Ok(Response::new(DeleteUserResponse { user: Some(convert::user(user)) }))
    }
}
