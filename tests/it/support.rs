//! What the tests stand on.

pub mod dice;
pub mod grpcurl;
pub mod house;
pub mod http;
pub mod night;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod python;
pub mod server;
pub mod smtp;
pub mod tap;
pub mod wire;
