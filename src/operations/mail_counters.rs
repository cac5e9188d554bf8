//! What a mail that somebody asks for is counted as, by the limits that the settings set.

use super::Vestibule;
use crate::{
    domain::mail_limit::{MailCounter, MailLimit, counted_address},
    random,
};

impl Vestibule {
    /// The counters of a mail to an address: its own, the caller's and the one of all.
    pub(super) fn counters_of_mail(&self, address: &str, caller: &str) -> Vec<MailCounter> {
        let mut counters = self.counters_of_address(address);
        counters.extend(self.counters_of_caller(caller));
        counters
    }

    /// The counters of mails that a caller asks for, whoever they go to: the caller's and the one of all.
    pub(super) fn counters_of_caller(&self, caller: &str) -> Vec<MailCounter> {
        let of_caller = self.counter(MailLimit::Caller, "mails of a caller", caller);
        of_caller.into_iter().chain(self.counter(MailLimit::Total, "mails in all", "")).collect()
    }

    /// The counters of asking for whatever mails an address has to get (X23). They have a count of their own: how full
    /// that of the mails is tells whether somebody has registered with the address.
    pub(super) fn counters_of_asking(&self, address: &str, caller: &str) -> Vec<MailCounter> {
        let asking = self.counter(MailLimit::Address, "askings by an address", &counted_address(address));
        asking.into_iter().chain(self.counters_of_caller(caller)).collect()
    }

    /// The counters of a mail to somebody who claims an address that was asked by, where the caller is counted already
    /// (X23). They have a count of their own, too: in that of the other mails they would tell that there is a claim.
    pub(super) fn counters_of_claim(&self, address: &str) -> Vec<MailCounter> {
        let claim =
            self.counter(MailLimit::Address, "mails to claims of an address", &counted_address(address));
        claim.into_iter().collect()
    }

    /// The counter of a mail to an address alone.
    fn counters_of_address(&self, address: &str) -> Vec<MailCounter> {
        let mails = self.counter(MailLimit::Address, "mails to an address", &counted_address(address));
        mails.into_iter().collect()
    }

    /// A counter, unless there is no such limit.
    fn counter(&self, limit: MailLimit, purpose: &str, counted: &str) -> Option<MailCounter> {
        let most = self.mail_limits.most(limit)?;
        let macs = self.keyring.macs(purpose, counted.as_bytes());
        Some(MailCounter::new(limit, most, macs, random::number(&*self.random)))
    }
}
