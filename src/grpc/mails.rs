//! MailService.

use tonic::{Request, Response, Status, async_trait};

use super::{
    caller::caller,
    calls::{Calls, deadline},
    convert,
    page_token::Query,
    proto::{
        DiscardMailRequest, DiscardMailResponse, GetMailRequest, GetMailResponse, ListMailsRequest,
        ListMailsResponse, RetryMailRequest, RetryMailResponse, mail_service_server::MailService,
    },
    status,
    validate::{self, Fields},
};
use crate::domain::{
    email_address::EmailAddress,
    mail::{MailFilter, MailId},
    page::PageSize,
    user::UserId,
};

/// Answers MailService.
pub struct MailHandler {
    calls: Calls,
}

impl MailHandler {
    /// Answers by running `calls`.
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

#[async_trait]
impl MailService for MailHandler {
    async fn list_mails(
        &self,
        request: Request<ListMailsRequest>,
    ) -> Result<Response<ListMailsResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let present = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let state = fields.check("state", validate::mail_state(request.state));
        let user_id = present(&request.user_id);
        let user_id = fields.check_optional("user_id", user_id.as_deref(), UserId::parse);
        let recipient = present(&request.recipient);
        let recipient = fields.check_optional("recipient", recipient.as_deref(), EmailAddress::parse);
        let size = fields.check("page_size", PageSize::parse(request.page_size));
        let (Some(state), Some(user_id), Some(recipient), Some(size)) = (state, user_id, recipient, size)
        else {
            return Err(fields.refuse());
        };
        let (keyring, random) = self.calls.sealing();
        let conditions = ListMailsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let query = Query::new("ListMails", &conditions, &caller);
        let after = query.read(keyring, &request.page_token)?;
        let filter = MailFilter { state, user_id, recipient };
        let page = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.list_mails(&filter, size, after).await })
            .await?
            .map_err(status::list_mails)?;
        Ok(Response::new(ListMailsResponse {
            next_page_token: query.write(keyring, random, page.next),
            mails: page.items.into_iter().map(convert::mail).collect(),
        }))
    }

    async fn get_mail(&self, request: Request<GetMailRequest>) -> Result<Response<GetMailResponse>, Status> {
        let deadline = deadline(&request);
        let id = mail_id(&request.into_inner().mail_id)?;
        let mail = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.get_mail(id).await })
            .await?
            .map_err(|error| status::get_mail(error, id))?;
        Ok(Response::new(GetMailResponse { mail: Some(convert::mail(mail)) }))
    }

    async fn retry_mail(
        &self,
        request: Request<RetryMailRequest>,
    ) -> Result<Response<RetryMailResponse>, Status> {
        let deadline = deadline(&request);
        let id = mail_id(&request.into_inner().mail_id)?;
        let mail = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.retry_mail(id).await })
            .await?
            .map_err(|error| status::retry_mail(error, id))?;
        Ok(Response::new(RetryMailResponse { mail: Some(convert::mail(mail)) }))
    }

    async fn discard_mail(
        &self,
        request: Request<DiscardMailRequest>,
    ) -> Result<Response<DiscardMailResponse>, Status> {
        let deadline = deadline(&request);
        let id = mail_id(&request.into_inner().mail_id)?;
        let mail = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.discard_mail(id).await })
            .await?
            .map_err(|error| status::discard_mail(error, id))?;
        Ok(Response::new(DiscardMailResponse { mail: Some(convert::mail(mail)) }))
    }
}

fn mail_id(text: &str) -> Result<MailId, Status> {
    validate::field("mail_id", MailId::parse(text))
}
