//! UserService.

use tonic::{Request, Response, Status, async_trait};

use super::{
    calls::{Calls, deadline},
    convert,
    proto::{
        DisableUserRequest, DisableUserResponse, GetUserRequest, GetUserResponse,
        user_service_server::UserService,
    },
    status, validate,
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
}
