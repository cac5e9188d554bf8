//! SendActivationEmail: R14, X10, X15, X23.

use super::{IssueKeyError, Vestibule, issue_key::Mailing, once::Once};
use crate::{
    domain::{
        email_address::EmailAddress,
        policy,
        request::Call,
        user::{User, UserName},
    },
    repository::{IssueKeysRefusal, KeyIssues},
};

impl Vestibule {
    /// Mails a pending user a further key; by email, every pending user who claims the address.
    pub async fn send_activation_email(&self, name: &UserName, call: &Call) -> Result<(), IssueKeyError> {
        let once = once(name, call);
        if self.find_done(&once).await?.is_some() {
            return Ok(());
        }
        let is_new = match name {
            UserName::Email(email) => self.send_to_claims(email, call, &once).await?,
            UserName::Id(id) => self.send_to(self.repository.find_user(*id).await?, call, &once).await?,
            UserName::Username(username) => {
                let user = self.repository.find_user_by_username(username.key()).await?;
                self.send_to(user, call, &once).await?
            }
        };
        if !is_new {
            self.expect_done(&once).await?;
        }
        Ok(())
    }

    /// Mails one user; false if the request was done before.
    async fn send_to(&self, user: Option<User>, call: &Call, once: &Once) -> Result<bool, IssueKeyError> {
        let user = user.ok_or(IssueKeyError::UserNotFound)?;
        let request = self.request_record(once, self.clock.now());
        let mailing = Mailing { caller: call.caller.clone(), request };
        Ok(self.issue_key(user, Some(mailing)).await?.is_some())
    }

    /// Mails whoever claims the address; false if the request was done before. X23: answers alike whether there is a
    /// claim or not, so what refuses one claim is nobody's to know.
    async fn send_to_claims(
        &self,
        email: &EmailAddress,
        call: &Call,
        once: &Once,
    ) -> Result<bool, IssueKeyError> {
        let now = self.clock.now();
        let mut issues = Vec::new();
        let claims = self.repository.list_pending_claims(email, now, policy::MAX_CLAIMS_MAILED).await?;
        let mut codes = self.codes_of_claims(email.as_str(), now).await?.into_iter();
        for user in claims {
            match self.further_key(&user, true, codes.next().as_ref(), now) {
                Ok((_, mut issue)) => {
                    issue.counters = self.counters_of_claim(email.as_str());
                    issues.push(issue);
                }
                Err(error @ (IssueKeyError::Template(_) | IssueKeyError::Storage(_))) => return Err(error),
                Err(_) => {}
            }
        }
        let request = self.request_record(once, now);
        let counters = self.counters_of_asking(email.as_str(), &call.caller);
        if issues.is_empty() && request.is_none() && counters.is_empty() {
            return Ok(true);
        }
        match self.repository.issue_keys(&KeyIssues { issues, request, counters, now }).await? {
            Ok(_) => self.mail_bell.ring(),
            Err(IssueKeysRefusal::RequestDone) => return Ok(false),
            Err(IssueKeysRefusal::MailLimit(reached)) => return Err(reached.into()),
        }
        Ok(true)
    }
}

/// What a repetition must ask for again.
fn once(name: &UserName, call: &Call) -> Once {
    let once = Once::new(call, "SendActivationEmail");
    match name {
        UserName::Id(id) => once.with(Some("user_id")).with(Some(id.0.as_bytes())),
        UserName::Username(username) => once.with(Some("username")).with(Some(username.key().as_str())),
        UserName::Email(email) => once.with(Some("email")).with(Some(email.as_str())),
    }
}
