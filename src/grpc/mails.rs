//! MailService.

use tonic::{Request, Response, Status, async_trait};

use super::{
    caller::caller,
    calls::{Calls, deadline},
    convert,
    page_token::Query,
    proto::{
        DiscardMailRequest, DiscardMailResponse, GetMailRequest, GetMailResponse, LiftSuppressionRequest,
        LiftSuppressionResponse, ListMailsRequest, ListMailsResponse, ListSuppressionsRequest,
        ListSuppressionsResponse, ReportBounceRequest, ReportBounceResponse, RetryMailRequest,
        RetryMailResponse, mail_service_server::MailService, report_bounce_request,
    },
    status,
    validate::{self, Fields},
};
use crate::domain::{
    Invalid,
    email_address::EmailAddress,
    mail::{MailFilter, MailId},
    page::PageSize,
    suppression::{BounceReason, Bounced},
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

    async fn report_bounce(
        &self,
        request: Request<ReportBounceRequest>,
    ) -> Result<Response<ReportBounceResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let bounced = bounced(&mut fields, request.bounced);
        let reason = fields.check("reason", BounceReason::parse(&request.reason));
        let (Some(bounced), Some(reason)) = (bounced, reason) else {
            return Err(fields.refuse());
        };
        let suppression = self
            .calls
            .run(deadline, |vestibule| async move {
                vestibule.report_bounce(bounced, request.permanent, reason).await
            })
            .await?
            .map_err(status::report_bounce)?;
        Ok(Response::new(ReportBounceResponse { suppression: suppression.map(convert::suppression) }))
    }

    async fn list_suppressions(
        &self,
        request: Request<ListSuppressionsRequest>,
    ) -> Result<Response<ListSuppressionsResponse>, Status> {
        let (deadline, caller) = (deadline(&request), caller(&request));
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = Some(request.email.as_str()).filter(|email| !email.is_empty());
        let email = fields.check_optional("email", email, EmailAddress::parse);
        let size = fields.check("page_size", PageSize::parse(request.page_size));
        let (Some(email), Some(size)) = (email, size) else {
            return Err(fields.refuse());
        };
        let (keyring, random) = self.calls.sealing();
        let conditions =
            ListSuppressionsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let query = Query::new("ListSuppressions", &conditions, &caller);
        let after = query.read(keyring, &request.page_token)?;
        let page = self
            .calls
            .run(deadline, |vestibule| async move {
                vestibule.list_suppressions(email.as_ref(), size, after).await
            })
            .await?
            .map_err(status::list_suppressions)?;
        Ok(Response::new(ListSuppressionsResponse {
            next_page_token: query.write(keyring, random, page.next),
            suppressions: page.items.into_iter().map(convert::suppression).collect(),
        }))
    }

    async fn lift_suppression(
        &self,
        request: Request<LiftSuppressionRequest>,
    ) -> Result<Response<LiftSuppressionResponse>, Status> {
        let deadline = deadline(&request);
        let email = validate::field("email", EmailAddress::parse(&request.into_inner().email))?;
        let asked = email.clone();
        let lifted = self
            .calls
            .run(deadline, |vestibule| async move { vestibule.lift_suppression(&email).await })
            .await?
            .map_err(|error| status::lift_suppression(error, &asked))?;
        Ok(Response::new(LiftSuppressionResponse { suppression: Some(convert::suppression(lifted)) }))
    }
}

fn bounced(fields: &mut Fields, bounced: Option<report_bounce_request::Bounced>) -> Option<Bounced> {
    match bounced {
        None => fields.check("bounced", Err(Invalid::new("must be given: mail_id or email"))),
        Some(report_bounce_request::Bounced::MailId(text)) => {
            fields.check("mail_id", MailId::parse(&text)).map(Bounced::Mail)
        }
        Some(report_bounce_request::Bounced::Email(text)) => {
            fields.check("email", EmailAddress::parse(&text)).map(Bounced::Email)
        }
    }
}

fn mail_id(text: &str) -> Result<MailId, Status> {
    validate::field("mail_id", MailId::parse(text))
}
