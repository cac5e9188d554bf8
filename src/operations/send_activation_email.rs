//! SendActivationEmail: R14, X15, X23.

use super::{IssueKeyError, Vestibule};
use crate::domain::{email_address::EmailAddress, policy, user::UserName};

impl Vestibule {
    /// Mails a pending user a further key; by email, every pending user who claims the address.
    pub async fn send_activation_email(&self, name: &UserName) -> Result<(), IssueKeyError> {
        let user = match name {
            UserName::Email(email) => return self.send_to_claims(email).await,
            UserName::Id(id) => self.repository.find_user(*id).await?,
            UserName::Username(username) => self.repository.find_user_by_username(username.key()).await?,
        };
        self.issue_key(user.ok_or(IssueKeyError::UserNotFound)?, true).await?;
        Ok(())
    }

    /// X23: answers alike whether there is a claim or not, so what refuses one claim is nobody's to know.
    async fn send_to_claims(&self, email: &EmailAddress) -> Result<(), IssueKeyError> {
        let claims =
            self.repository.list_pending_claims(email, self.clock.now(), policy::MAX_CLAIMS_MAILED).await?;
        for user in claims {
            match self.issue_key(user, true).await {
                Ok(_)
                | Err(IssueKeyError::UserNotFound | IssueKeyError::ProfileNotFound | IssueKeyError::Key(_)) =>
                    {}
                Err(error @ (IssueKeyError::Template(_) | IssueKeyError::Storage(_))) => return Err(error),
            }
        }
        Ok(())
    }
}
