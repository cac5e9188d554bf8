//! Page tokens: sealed, and bound to the query that they continue and to the caller who made it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use super::{caller::Caller, status};
use crate::{
    domain::{Timestamp, page::PageKey},
    random::Random,
    sealing::Keyring,
};

/// What follows tells which order the place is in.
const CREATED: u8 = 0;
const USERNAME: u8 = 1;
const EMAIL: u8 = 2;

/// A list as a caller asked for it, without its paging: a token of another one opens nothing.
pub struct Query(Vec<u8>);

impl Query {
    /// What `caller` asked of the RPC of that name; `conditions` is the request without page size and token.
    pub fn new(rpc: &str, conditions: &impl Message, caller: &Caller) -> Self {
        let digest = Sha256::new()
            .chain_update(Sha256::digest(caller.name()))
            .chain_update(conditions.encode_to_vec())
            .finalize();
        Self([b"page of ", rpc.as_bytes(), b" ", &digest].concat())
    }

    /// The token of the page behind `next`; empty where there is none.
    pub fn write(&self, keyring: &Keyring, random: &dyn Random, next: Option<PageKey>) -> String {
        let place = match next {
            None => return String::new(),
            Some(PageKey::Created { create_time, id }) => {
                [&[CREATED], create_time.timestamp_micros().to_be_bytes().as_slice(), id.as_bytes()].concat()
            }
            Some(PageKey::Username(key)) => [&[USERNAME], key.as_bytes()].concat(),
            Some(PageKey::Email(email)) => [&[EMAIL], email.as_bytes()].concat(),
        };
        BASE64_URL_SAFE_NO_PAD.encode(keyring.seal(random, &self.0, &place))
    }

    /// The place that a request's token names; `None` for the first page.
    pub fn read(&self, keyring: &Keyring, token: &str) -> Result<Option<PageKey>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        self.open(keyring, token).map(Some).ok_or_else(status::invalid_page_token)
    }

    fn open(&self, keyring: &Keyring, token: &str) -> Option<PageKey> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let place = keyring.open(&self.0, &sealed).ok()?;
        match place.split_first()? {
            (&CREATED, place) => {
                let (micros, id) = place.split_first_chunk()?;
                Some(PageKey::Created {
                    create_time: Timestamp::from_timestamp_micros(i64::from_be_bytes(*micros))?,
                    id: Uuid::from_slice(id).ok()?,
                })
            }
            (&USERNAME, key) => Some(PageKey::Username(str::from_utf8(key).ok()?.to_owned())),
            (&EMAIL, email) => Some(PageKey::Email(str::from_utf8(email).ok()?.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        grpc::proto::{ListUsersRequest, UnverifiedFilter},
        random::SystemRandom,
    };

    #[test]
    fn u4_a_token_opens_for_the_same_query_of_the_same_caller_only() {
        let keyring = Keyring::parse(&Keyring::generate(&SystemRandom)).unwrap();
        let filter = UnverifiedFilter { site: "shop".into(), ..Default::default() };
        let query =
            |rpc, filter: &UnverifiedFilter, caller: &str| Query::new(rpc, filter, &Caller::named(caller));
        let list = query("ListUnverified", &filter, "shop");
        for place in [
            PageKey::Created { create_time: Timestamp::from_timestamp_micros(-1).unwrap(), id: Uuid::max() },
            PageKey::Username("mike".into()),
            PageKey::Email("mike@example.com".into()),
        ] {
            let token = list.write(&keyring, &SystemRandom, Some(place.clone()));
            assert_eq!(list.read(&keyring, &token).unwrap(), Some(place));
            for other in [
                query("ListUsers", &filter, "shop"),
                query("ListUnverified", &UnverifiedFilter::default(), "shop"),
                query("ListUnverified", &filter, "accounts"),
                Query::new("ListUnverified", &ListUsersRequest::default(), &Caller::anonymous()),
            ] {
                assert!(other.read(&keyring, &token).is_err());
            }
        }
        assert_eq!(list.read(&keyring, "").unwrap(), None);
        assert_eq!(list.write(&keyring, &SystemRandom, None), "");
    }
}
