//! Page tokens: sealed, and bound to the query that they continue.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Status;
use uuid::Uuid;

use super::{proto::ListUnverifiedRequest, status};
use crate::{
    domain::{Timestamp, page::PageKey},
    operations::Vestibule,
};

/// The token of the page behind `next`; empty where there is none.
pub fn write(vestibule: &Vestibule, request: &ListUnverifiedRequest, next: Option<PageKey>) -> String {
    let Some(next) = next else { return String::new() };
    let place = [next.create_time.timestamp_micros().to_be_bytes().as_slice(), next.id.as_bytes()].concat();
    let sealed = vestibule.keyring.seal(&*vestibule.random, &purpose(request), &place);
    BASE64_URL_SAFE_NO_PAD.encode(sealed)
}

/// The place that a request's token names; `None` for the first page.
pub fn read(vestibule: &Vestibule, request: &ListUnverifiedRequest) -> Result<Option<PageKey>, Status> {
    if request.page_token.is_empty() {
        return Ok(None);
    }
    open(vestibule, request).map(Some).ok_or_else(status::invalid_page_token)
}

fn open(vestibule: &Vestibule, request: &ListUnverifiedRequest) -> Option<PageKey> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(&request.page_token).ok()?;
    let place = vestibule.keyring.open(&purpose(request), &sealed).ok()?;
    let (micros, id) = place.split_first_chunk()?;
    Some(PageKey {
        create_time: Timestamp::from_timestamp_micros(i64::from_be_bytes(*micros))?,
        id: Uuid::from_slice(id).ok()?,
    })
}

/// The query without its paging, so that a token of another query opens nothing.
fn purpose(request: &ListUnverifiedRequest) -> Vec<u8> {
    let filter = request.filter.clone().unwrap_or_default().encode_to_vec();
    [b"page of ListUnverified ".as_slice(), &Sha256::digest(filter)].concat()
}
