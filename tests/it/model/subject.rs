//! A server under test: carries out the calls of a sequence, and says what came of them in the words of the model.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use tonic::{Status, async_trait};
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    domain::Timestamp,
    grpc::proto::{
        ActivateUserRequest, AddEmailAddressRequest, CreateInactiveUserRequest,
        CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, DeleteUserRequest,
        DisableUserRequest, EmailAddress, EnableUserRequest, InspectActivationKeyResponse, ListMailsRequest,
        ListUnverifiedRequest, ListUsersRequest, MailState, PurgeExpiredRequest, PurgeUnverifiedRequest,
        RecordLoginRequest, ReissueActivationKeyRequest, RemindUnverifiedRequest, RemoveEmailAddressRequest,
        SendVerificationEmailRequest, SetPrimaryEmailAddressRequest, UnverifiedFilter, User,
        VerifyEmailAddressRequest, send_activation_email_request::User as Named,
    },
    mail::{MailSender, OutgoingMail, SendError},
};

use super::{
    reference::{Answer, Expected, JUMP, Seen},
    step::{By, EMAILS, Filter, Step, USERNAMES},
};
use crate::support::server::{Client, Database, TestServer, eventually, instant, reason, wire};

/// How many mails are asked for is nothing that the model knows.
const SETTINGS: &str = "mail.limits.per_address_per_hour = 0";

/// A key that nobody has.
const NO_KEY: &str = "0123456789abcdef0123456789abcdef01234567";

pub struct Subject {
    pub name: &'static str,
    server: TestServer,
    client: Client,
    mailbox: Mailbox,
    jumped: bool,
    /// The ids and the keys by the numbers that the model gives them.
    users: Vec<String>,
    keys: HashMap<usize, String>,
}

/// Takes every mail, and keeps whom it is for and the key in it.
#[derive(Debug, Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<Letter>>>);

#[derive(Debug)]
struct Letter {
    username: String,
    recipient: String,
    key: String,
}

#[async_trait]
impl MailSender for Mailbox {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        let body = mail.text.body();
        let username = body.lines().next().unwrap().trim_start_matches("Hello ").trim_end_matches(',');
        let is_key = |word: &&str| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
        self.0.lock().unwrap().push(Letter {
            username: username.to_owned(),
            recipient: mail.recipient.to_owned(),
            key: body.split_whitespace().find(is_key).unwrap_or_default().to_owned(),
        });
        Ok(())
    }
}

impl Subject {
    pub async fn start(database: &Database) -> Self {
        let mailbox = Mailbox::default();
        let server = TestServer::start_with_sender(database, SETTINGS, Arc::new(mailbox.clone())).await;
        let client = server.client().await;
        let name = match database {
            Database::Sqlite => "SQLite",
            Database::Url(_) => "Postgres",
        };
        Self { name, server, client, mailbox, jumped: false, users: Vec::new(), keys: HashMap::new() }
    }

    pub fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// Carries out a step at `now`. What is expected says only which number a new user or key gets.
    pub async fn apply(&mut self, step: &Step, now: Timestamp, expected: &Expected) -> Answer {
        if let Step::MoveClock(_) | Step::JumpClock = step {
            self.settle_mails().await;
        }
        if let Step::JumpClock = step {
            self.server.clock.go_wrong(if self.jumped { -JUMP } else { JUMP });
            self.jumped = !self.jumped;
        }
        self.server.clock.advance(now - self.server.clock.now());
        let mut answer = match self.call(step, expected).await {
            Ok(answer) => answer,
            Err(status) => return Answer { reason: reason(&status), ..Answer::default() },
        };
        answer.users.sort_unstable();
        answer.mails = self.read_mails(expected).await;
        answer
    }

    async fn call(&mut self, step: &Step, expected: &Expected) -> Result<Answer, Status> {
        let client = self.client.clone();
        let user_id = |user: usize| self.users.get(user).cloned().unwrap_or(Uuid::nil().to_string());
        let key = |key: usize| self.keys.get(&key).map_or(NO_KEY, String::as_str).to_owned();
        match *step {
            Step::Register { username, email, send_email } => {
                let (username, email) = (USERNAMES[username].to_owned(), EMAILS[email].to_owned());
                let send_email = Some(send_email);
                let request = CreateInactiveUserRequest { username, email, send_email, ..Default::default() };
                let created = client.create_inactive_user(request).await?;
                self.users.push(created.user.unwrap().id);
                self.learn(expected, created.activation_key);
                Ok(Answer {
                    users: vec![self.users.len() - 1],
                    expire_time: Some(instant(created.expire_time)),
                    ..Answer::default()
                })
            }
            Step::Activate { key: number } => Ok(self.told_of(client.use_key(&key(number)).await?)),
            Step::InspectActivationKey { key: number } => Ok(inspected(client.inspect(&key(number)).await?)),
            Step::SendActivationEmail(by) => {
                let named = match by {
                    By::Id(user) => Named::UserId(user_id(user)),
                    By::Username(username) => Named::Username(USERNAMES[username].to_owned()),
                    By::Email(email) => Named::Email(EMAILS[email].to_owned()),
                };
                client.mail_to(named).await.map(|()| Answer::default())
            }
            Step::ReissueActivationKey { user } => {
                let request = ReissueActivationKeyRequest { user_id: user_id(user) };
                let issued = client.reissue_activation_key(request).await?;
                self.learn(expected, issued.activation_key);
                Ok(Answer { expire_time: Some(instant(issued.expire_time)), ..Answer::default() })
            }
            Step::CreateRegistrationProfile { user, send_email } => {
                let request = CreateRegistrationProfileRequest {
                    user_id: user_id(user),
                    send_email: Some(send_email),
                    ..Default::default()
                };
                let created = client.create_registration_profile(request).await?;
                self.learn(expected, created.activation_key);
                let expire_time = instant(created.registration_profile.unwrap().expire_time);
                Ok(Answer { expire_time: Some(expire_time), ..Answer::default() })
            }
            Step::DeleteRegistrationProfile { user } => {
                let request = DeleteRegistrationProfileRequest { user_id: user_id(user) };
                client.delete_registration_profile(request).await.map(|_| Answer::default())
            }
            Step::PurgeExpired { include_disabled, limit } => {
                let request = PurgeExpiredRequest { include_disabled, limit, ..Default::default() };
                let purged = client.purge_expired(request).await?;
                Ok(self.tally(&purged.sample, purged.purge_count, purged.more))
            }
            Step::PurgeUnverified { filter, force, limit } => {
                let filter = Some(self.filter(filter));
                let purged = client.purge_unverified(PurgeUnverifiedRequest { filter, force, limit }).await?;
                Ok(self.tally(&purged.sample, purged.purge_count, purged.more))
            }
            Step::RemindUnverified { filter, force, limit } => {
                let filter = Some(self.filter(filter));
                let request = RemindUnverifiedRequest { filter, force, limit, ..Default::default() };
                let reminded = client.remind_unverified(request).await?;
                Ok(self.tally(&reminded.sample, reminded.remind_count, reminded.more))
            }
            Step::AddEmailAddress { user, email } => {
                let (user_id, email) = (user_id(user), EMAILS[email].to_owned());
                let request = AddEmailAddressRequest { user_id, email, ..Default::default() };
                Ok(addresses(client.add_email_address(request).await?.email_addresses))
            }
            Step::SendVerificationEmail { user, email } => {
                let (user_id, email) = (user_id(user), EMAILS[email].to_owned());
                let request = SendVerificationEmailRequest { user_id, email, ..Default::default() };
                Ok(addresses(client.send_verification_email(request).await?.email_addresses))
            }
            Step::VerifyEmailAddress { key: number } => {
                let verified =
                    client.verify_email_address(VerifyEmailAddressRequest { key: key(number) }).await?;
                let users = vec![self.number(&verified.user_id)];
                Ok(Answer { users, ..addresses(verified.email_addresses) })
            }
            Step::SetPrimaryEmailAddress { user, email } => {
                let (user_id, email) = (user_id(user), EMAILS[email].to_owned());
                let request = SetPrimaryEmailAddressRequest { user_id, email };
                Ok(addresses(client.set_primary_email_address(request).await?.email_addresses))
            }
            Step::RemoveEmailAddress { user, email } => {
                let (user_id, email) = (user_id(user), EMAILS[email].to_owned());
                let request = RemoveEmailAddressRequest { user_id, email };
                Ok(addresses(client.remove_email_address(request).await?.email_addresses))
            }
            Step::RecordLogin { user } => {
                let request = RecordLoginRequest { user_id: user_id(user), login_time: None };
                Ok(self.told_of(client.record_login(request).await?.user.unwrap()))
            }
            Step::ActivateUser { user } => {
                let request = ActivateUserRequest { user_id: user_id(user) };
                Ok(self.told_of(client.activate_user(request).await?.user.unwrap()))
            }
            Step::DisableUser { user } => {
                let request = DisableUserRequest { user_id: user_id(user) };
                Ok(self.told_of(client.disable_user(request).await?.user.unwrap()))
            }
            Step::EnableUser { user } => {
                let request = EnableUserRequest { user_id: user_id(user) };
                Ok(self.told_of(client.enable_user(request).await?.user.unwrap()))
            }
            Step::DeleteUser { user } => {
                let request = DeleteUserRequest { user_id: user_id(user) };
                Ok(self.told_of(client.delete_user(request).await?.user.unwrap()))
            }
            Step::MoveClock(_) | Step::JumpClock => Ok(Answer::default()),
        }
    }

    /// Everybody whom the lists show.
    pub async fn observe(&self) -> Vec<Seen> {
        let everybody = ListUsersRequest { page_size: 1000, ..Default::default() };
        let filter = UnverifiedFilter { exclude_any_verified: Some(false), ..Default::default() };
        let unverified =
            ListUnverifiedRequest { filter: Some(filter), page_size: 1000, ..Default::default() };
        let (users, unverified) =
            tokio::join!(self.client.list_users(everybody), self.client.list_unverified(unverified));
        let unverified: HashMap<_, _> = unverified
            .unwrap()
            .users
            .into_iter()
            .map(|listed| (listed.user.unwrap().id, listed.expire_time.map(|time| instant(Some(time)))))
            .collect();
        let seen = users.unwrap().users.into_iter().map(|user| {
            let time = |time: Option<_>| time.map(|time| instant(Some(time)));
            Seen {
                user: self.number(&user.id),
                state: user.state().as_str_name().trim_start_matches("USER_STATE_").to_owned(),
                times: [user.create_time, user.activate_time, user.disable_time, user.last_login_time]
                    .map(time),
                unverified: unverified.get(&user.id).copied(),
                username: user.username,
                email: user.email,
            }
        });
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by_key(|seen| seen.user);
        seen
    }

    /// Leaves nobody, and the clock right.
    pub async fn clear(&mut self) {
        self.settle_mails().await;
        if std::mem::take(&mut self.jumped) {
            self.server.clock.go_wrong(-JUMP);
        }
        self.server.clock.advance(TimeDelta::days(1));
        for user in self.observe().await {
            let user_id = self.users[user.user].clone();
            self.client.delete_user(DeleteUserRequest { user_id }).await.unwrap();
        }
        assert_eq!(self.mailbox.0.lock().unwrap().len(), 0, "{} has sent more than was asked for", self.name);
        self.users.clear();
        self.keys.clear();
    }

    fn filter(&self, filter: Filter) -> UnverifiedFilter {
        let ago = |age| Some(wire(self.now() - age));
        let all = UnverifiedFilter::default();
        match filter {
            Filter::None => all,
            Filter::AnyVerified => UnverifiedFilter { exclude_any_verified: Some(false), ..all },
            Filter::Expired(expired) => UnverifiedFilter { expired: Some(expired), ..all },
            Filter::CreatedBefore(age) => UnverifiedFilter { created_before: ago(age), ..all },
            Filter::CreatedAfter(age) => UnverifiedFilter { created_after: ago(age), ..all },
            Filter::IdleSince(age) => UnverifiedFilter { idle_since: ago(age), ..all },
            Filter::Domain(domain) => UnverifiedFilter { email_domain: domain.to_owned(), ..all },
            Filter::Prefix(prefix) => UnverifiedFilter { username_prefix: prefix.to_owned(), ..all },
        }
    }

    fn tally(&self, sample: &[User], count: i32, more: bool) -> Answer {
        let users = sample.iter().map(|user| self.number(&user.id)).collect();
        Answer { users, count, more, ..Answer::default() }
    }

    fn told_of(&self, user: User) -> Answer {
        Answer { users: vec![self.number(&user.id)], ..Answer::default() }
    }

    fn number(&self, id: &str) -> usize {
        self.users.iter().position(|user| user == id).expect("a user of this sequence")
    }

    /// Keeps the key that was returned under the number that the model gives it.
    fn learn(&mut self, expected: &Expected, key: String) {
        assert_eq!(key.is_empty(), expected.returned.is_none(), "X2: a key is either mailed or returned");
        if let Some(number) = expected.returned {
            self.keys.insert(number, key);
        }
    }

    /// Waits until every mail is recorded as sent: the lease on one that is not would be over once the clock has moved,
    /// and it would rightly be sent again.
    async fn settle_mails(&self) {
        let queued = ListMailsRequest { state: MailState::Queued.into(), ..Default::default() };
        eventually("the mails are settled", || async {
            self.client.list_mails(queued.clone()).await.unwrap().mails.is_empty()
        })
        .await;
    }

    /// Waits for the mails that are expected, and keeps the keys in them under the model's numbers.
    async fn read_mails(&mut self, expected: &Expected) -> Vec<(String, String)> {
        let mailbox = self.mailbox.clone();
        let count = expected.answer.mails.len();
        eventually("the mails arrive", || {
            let mailbox = mailbox.clone();
            async move { mailbox.0.lock().unwrap().len() >= count }
        })
        .await;
        let letters = std::mem::take(&mut *self.mailbox.0.lock().unwrap());
        for (username, number) in &expected.mailed {
            if let Some(letter) = letters.iter().find(|letter| letter.username == *username) {
                self.keys.insert(*number, letter.key.clone());
            }
        }
        let mut mails: Vec<_> =
            letters.into_iter().map(|letter| (letter.username, letter.recipient)).collect();
        mails.sort_unstable();
        mails
    }
}

fn addresses(addresses: Vec<EmailAddress>) -> Answer {
    let told = addresses.into_iter().map(|address| (address.email, address.primary, address.verified));
    Answer { addresses: told.collect(), ..Answer::default() }
}

fn inspected(inspected: InspectActivationKeyResponse) -> Answer {
    let state = inspected.state().as_str_name().trim_start_matches("ACTIVATION_KEY_STATE_").to_owned();
    Answer { state, expire_time: Some(instant(inspected.expire_time)), ..Answer::default() }
}
