//! Random acts at the same time, round after round: whatever the order they come in, what must never be never is.

mod addresses;

use crate::support::server::on_each_store;

on_each_store! {
    addresses: [
        u8_a_key_mailed_to_one_address_never_verifies_another,
    ]
}
