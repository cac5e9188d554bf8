//! `vestibule health`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::{ConfigFiles, FOUND_PROBLEMS, print};
use crate::{causes::Causes, grpc};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Prints SERVING and exits 0, or says what is wrong and exits 3.
#[derive(Debug, Args)]
pub struct HealthCommand {
    #[command(flatten)]
    config: ConfigFiles,
    /// The server's address; without it, where grpc.listen says.
    #[arg(long, value_name = "ADDR")]
    address: Option<SocketAddr>,
}

impl HealthCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let address = match self.address {
            Some(address) => address,
            None => reachable(self.config.load(&[])?.grpc.listen),
        };
        match grpc::probe(address, TIMEOUT).await {
            Ok(true) => return print("SERVING"),
            Ok(false) => print("NOT_SERVING")?,
            Err(error) => print(&format!("UNREACHABLE: {}", Causes(&error)))?,
        };
        Ok(ExitCode::from(FOUND_PROBLEMS))
    }
}

/// Nobody can connect to the address that means every address; this machine's own will do.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}
