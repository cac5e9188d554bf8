//! What RemindUnverified and the ladder have in common: a further key for each of a selection, mailed (U6).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    ClockError, RemindUnverifiedError, Vestibule,
    batches::{self, Batch, Batches, Bounds},
};
use crate::{
    domain::{
        mail_limit::MailCounter,
        page::{Page, PageKey, PageSize},
        reminder::ReminderSelection,
        unverified::{CallLimit, Tally},
        user::User,
    },
    repository::{NewReminder, StorageError},
    templates::{MailContent, MailContext, TemplateError},
};

/// How many users one transaction reminds: few enough that nobody notices it.
const BATCH: u32 = 50;

/// Why nobody was reminded by the ladder.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    /// The clock can't be trusted (X22): nobody should be told of a deletion too early.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The rest is what RemindUnverified says, too.
    #[error(transparent)]
    Remind(#[from] RemindUnverifiedError),
}

impl Vestibule {
    /// Reminds whoever has come to a rung of the ladder, batch by batch; windows stay (docs/decisions/0010).
    pub async fn remind_by_ladder(
        self: &Arc<Self>,
        limit: CallLimit,
        deadline: Option<Instant>,
    ) -> Result<Tally, LadderError> {
        let now = self.clock.now();
        self.check_clock(now).await?;
        let selection = self.reminders.ladder_selection(now);
        if selection.rungs.is_empty() {
            return Ok(Tally::default());
        }
        Ok(batches::run(self.reminders(selection, Vec::new()), Bounds { limit, deadline }).await?)
    }

    /// What reminds whom a selection has, and what each mail is counted as.
    pub(super) fn reminders(
        self: &Arc<Self>,
        selection: ReminderSelection,
        counters: Vec<MailCounter>,
    ) -> Reminders {
        Reminders { vestibule: Arc::clone(self), selection, counters, after: None }
    }

    /// A further key and its mail, for a user as it was just found.
    fn new_reminder(
        &self,
        user: &User,
        selection: &ReminderSelection,
    ) -> Result<Option<NewReminder>, TemplateError> {
        let (Some(site), Some(profile)) = (self.sites.find_or_first(&user.site), user.profile) else {
            return Ok(None);
        };
        let rung = selection.rung(profile.issue_time);
        let expire_time = match rung {
            Some(_) => profile.expire_time,
            None => site.activation_days.expire_time(selection.now),
        };
        let key = self.generate_key(&user.username);
        let content = MailContent::Reminder { key: &key, expire_time };
        let mail = MailContext { username: &user.username, site, locale: user.locale.as_ref(), content };
        let mail = self.new_mail(&user.email, &mail, expire_time, selection.now)?;
        Ok(Some(NewReminder {
            user_id: user.id,
            email: user.email.clone(),
            digest: key.digest(),
            mail,
            expire_time,
            ladder_day: rung.map_or(0, |rung| rung.day),
        }))
    }
}

/// Reminders for a selection, a batch at a time.
pub(super) struct Reminders {
    vestibule: Arc<Vestibule>,
    selection: ReminderSelection,
    counters: Vec<MailCounter>,
    after: Option<PageKey>,
}

#[async_trait]
impl Batches for Reminders {
    type Error = RemindUnverifiedError;

    async fn act(&mut self, limit: u32) -> Result<Batch, RemindUnverifiedError> {
        let size = PageSize::at_most(usize::try_from(BATCH.min(limit)).unwrap_or_default());
        let after = self.after.take();
        let page = self.list(size, after).await?;
        self.after = page.next;
        let (vestibule, selection) = (&self.vestibule, &self.selection);
        let at_end = self.after.is_none();
        let mut reminders = Vec::new();
        for user in &page.items {
            reminders.extend(vestibule.new_reminder(user, selection)?);
        }
        if reminders.is_empty() {
            return Ok(Batch { done: Vec::new(), at_end });
        }
        let done = vestibule.repository.remind(selection, &reminders, &self.counters).await??;
        vestibule.mail_bell.ring();
        Ok(Batch { done, at_end })
    }

    async fn count(&self, limit: u32) -> Result<u32, StorageError> {
        self.vestibule.repository.count_selected_to_remind(&self.selection, limit).await
    }

    async fn list(&self, size: PageSize, after: Option<PageKey>) -> Result<Page<User>, StorageError> {
        self.vestibule.repository.list_selected_to_remind(&self.selection, size, after).await
    }
}
