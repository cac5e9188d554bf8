//! More peers than there are files for: the server neither spins nor falls over, and serves when they have gone.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::Signal,
    unistd::{SysconfVar, sysconf},
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    process::{Process, serve},
    server::make_keyring,
};

/// How long a crowd stays and is measured: shorter than a silent peer may.
const STAY: Duration = Duration::from_secs(3);
/// How much of the processor's time a crowd may cost meanwhile.
const TENTH: Duration = Duration::from_millis(300);
const PEERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_file_left_waits_and_serves_again_when_the_peers_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = super::start(folder.path(), &[]);
    // The cap was set by the limit of the start; what is taken away later no cap foresees.
    let open = fs::read_dir(format!("/proc/{}/fd", process.pid())).unwrap().count();
    limit_files(&process, u64::try_from(open).unwrap() + 20);
    let crowd = crowd(process.address).await;
    let said = process.wait_for("connections can't be accepted");
    assert!(said.contains("os error 24"), "{said}");
    assert_idle(&process).await;
    drop(crowd);
    assert_serves_soon(process.address).await;
    let (status, log) = process.stop(Signal::SIGTERM);
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("connections can't be accepted").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_no_more_connections_than_it_has_files_for() {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let command = serve(folder.path(), "sqlite:vestibule.db", &[]);
    let mut process = Process::start(&mut with_files(160, &command));
    let crowd = crowd(process.address).await;
    process.wait_for("every connection is taken");
    assert_idle(&process).await;
    drop(crowd);
    assert_serves_soon(process.address).await;
    let (status, log) = process.stop(Signal::SIGTERM);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("fewer connections than grpc.max_connections"), "{log}");
    assert!(!log.contains("can't be accepted"), "{log}");
}

/// The same command with so many files at most.
fn with_files(files: u64, command: &Command) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited
        .arg("-c")
        .arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""))
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap());
    limited
}

fn limit_files(process: &Process, files: u64) {
    let pid = Pid::from_raw(process.pid());
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
}

/// Peers that connect and say nothing.
async fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..PEERS {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    crowd
}

/// Expects that a server does next to nothing for a while.
async fn assert_idle(process: &Process) {
    let before = processor_time(process);
    sleep(STAY).await;
    let spent = processor_time(process) - before;
    assert!(spent < TENTH, "{spent:?} of {STAY:?}");
}

/// What the process has had of the processor so far.
fn processor_time(process: &Process) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    // utime and stime are the 14th and 15th of all, and these begin with the third.
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    let a_second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_millis(ticks * 1000 / u64::try_from(a_second).unwrap())
}

async fn assert_serves_soon(address: SocketAddr) {
    let start = Instant::now();
    let ask = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut health = HealthClient::new(endpoint.connect().await.unwrap());
        health.check(HealthCheckRequest::default()).await.unwrap();
    };
    timeout(Duration::from_secs(10), ask).await.expect("it serves again");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
