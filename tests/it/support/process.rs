//! The built program as a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What lets many development servers run side by side.
pub const FREE_PORTS: [&str; 6] =
    ["--listen", "127.0.0.1:0", "--mailbox", "127.0.0.1:0", "--page", "127.0.0.1:0"];

/// A command of the built program, in `folder`, without any setting of the environment.
pub fn vestibule(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    vestibule(folder).args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// A command that serves the database of `url` on a free port with the keyring of `folder`.
pub fn serve(folder: &Path, url: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = vestibule(folder);
    command
        .arg("serve")
        .env("VESTIBULE__DATABASE__URL", url)
        .env("VESTIBULE__GRPC__LISTEN", "127.0.0.1:0")
        .env("VESTIBULE__SECRETS__KEYRING_FILE", folder.join("keyring"))
        .envs(environment.iter().copied());
    command
}

/// A server that runs as a process; killed when it is dropped.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: String,
}

impl Process {
    /// Starts `command`, which serves and logs as JSON, and waits until it serves.
    pub fn start(command: &mut Command) -> Self {
        let mut process = Self::listen(command);
        process.wait_for("\"message\":\"serving\"");
        process
    }

    /// Starts `command`, and waits until it listens, whether it can serve or not.
    pub fn listen(command: &mut Command) -> Self {
        let mut process = Self::run(command);
        let listening = process.wait_for("\"message\":\"listening\"");
        let log: serde_json::Value = serde_json::from_str(&listening).unwrap();
        process.address = log["address"].as_str().unwrap().parse().unwrap();
        process
    }

    /// Starts `command`, which may serve nothing.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command
            .env("VESTIBULE__LOG__FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Self { address: ([0, 0, 0, 0], 0).into(), child, lines, seen: String::new() }
    }

    /// The next line of output that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} in:\n{}", self.seen);
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and returns how it ended.
    pub fn terminate(self) -> ExitStatus {
        self.stop(Signal::SIGTERM).0
    }

    /// Sends it a signal that it ends by, and returns how it ended and all that it printed.
    pub fn stop(mut self, signal: Signal) -> (ExitStatus, String) {
        self.signal(signal);
        self.end()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Its number among the processes.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Waits for its end, and returns how it ended and all that it printed.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        for line in self.lines.iter() {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        (status, std::mem::take(&mut self.seen))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Whoever listened may be gone; the pipe must be emptied all the same.
            let _ = to.send(line);
        }
    });
}
