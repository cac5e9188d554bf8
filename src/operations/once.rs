//! What every call that takes a `request_id` has in common: it is done once, and answers as it did then (X10).

use zeroize::Zeroizing;

use super::Vestibule;
use crate::{
    domain::{
        Timestamp,
        request::{Call, RequestKey},
    },
    repository::{RequestRecord, StorageError},
};

/// What the MACs of fields are for.
const PURPOSE: &str = "the fields of a request";

/// Why a request that was made before is not answered.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Its id was used for another call, or with other fields.
    #[error("the request_id was used for something else")]
    Reused,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A call and all that it asks for, as far as its answer depends on it: what a repetition must have again.
pub(super) struct Once {
    key: Option<RequestKey>,
    fields: Zeroizing<Vec<u8>>,
}

impl Once {
    /// A call of the RPC of that name, which asks for nothing yet; without an id it is done as often as it is made.
    pub(super) fn new(call: &Call, rpc: &str) -> Self {
        Self { key: call.key(), fields: Zeroizing::default() }.with(Some(rpc))
    }

    /// Adds the next field as it is after it was normalised; absent and empty are two things.
    pub(super) fn with(mut self, field: Option<impl AsRef<[u8]>>) -> Self {
        // Made anew each time, since a vector that grows leaves its old place as it was, and a field may be a password.
        self.fields = Zeroizing::new(match field {
            None => [self.fields.as_slice(), &[0]].concat(),
            // With its length in front, so that no two lists of fields read alike.
            Some(field) => {
                let (field, length) = (field.as_ref(), field.as_ref().len().to_be_bytes());
                [self.fields.as_slice(), &[1], &length, field].concat()
            }
        });
        self
    }
}

impl Vestibule {
    /// What was done for the request, if it was done before: the same call with the same fields, by a MAC that any key
    /// of the keyring has made.
    pub(super) async fn find_done(&self, once: &Once) -> Result<Option<RequestRecord>, RequestError> {
        let Some(key) = &once.key else { return Ok(None) };
        let Some(record) = self.repository.find_request(key).await? else { return Ok(None) };
        if self.keyring.macs(PURPOSE, &once.fields).contains(&record.fields_mac) {
            Ok(Some(record))
        } else {
            Err(RequestError::Reused)
        }
    }

    /// What was done for the request, when an act has found that it was.
    pub(super) async fn expect_done(&self, once: &Once) -> Result<RequestRecord, RequestError> {
        let done = self.find_done(once).await?;
        // Between the two looks it was forgotten, so that the next call begins anew.
        Ok(done.ok_or_else(|| StorageError::Conflict("the request was just forgotten".into()))?)
    }

    /// The record that an act at `now` leaves, without anything of its answer yet.
    pub(super) fn request_record(&self, once: &Once, now: Timestamp) -> Option<RequestRecord> {
        once.key.as_ref().map(|key| RequestRecord {
            key: key.clone(),
            fields_mac: self.keyring.mac(PURPOSE, &once.fields),
            create_time: now,
            user_id: None,
            expire_time: None,
            site: None,
            mails: None,
            reminders: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x10_no_two_lists_of_fields_read_alike() {
        let field = |text: &'static str| Some(text);
        let of = |fields: &[Option<&'static str>]| {
            let once =
                fields.iter().fold(Once::new(&Call::default(), "Call"), |once, field| once.with(*field));
            once.fields.to_vec()
        };
        let lists = [
            vec![],
            vec![None],
            vec![field("")],
            vec![field("a")],
            vec![field("ab"), field("c")],
            vec![field("a"), field("bc")],
            vec![field("abc")],
            vec![None, field("abc")],
            vec![field("abc"), None],
            vec![field("abc\u{1}\0\0\0\0\0\0\0\u{1}d")],
        ];
        let all: std::collections::BTreeSet<_> = lists.iter().map(|list| of(list)).collect();
        assert_eq!(all.len(), lists.len());
        let call = |rpc, asked| Once::new(&Call::default(), rpc).with(field(asked)).fields.to_vec();
        assert_ne!(call("Call", "a"), call("Cal", "la"));
    }
}
