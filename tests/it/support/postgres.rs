//! A Postgres of the tests' own: a cluster in a temporary folder that ends with the process, a migrated
//! template in it, and a database of its own for every test.
//!
//! `VESTIBULE_TEST_POSTGRES_URL`, a superuser's URL, names a running server to use instead. Whatever server it is,
//! a test that needs one fails without it; none is skipped.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::unistd::{Uid, User};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};
use vestibule::repository::{Repository as _, postgres::PostgresRepository};

/// How long a new server may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A migrated database, empty and nobody else's.
///
/// It is an address and no pool, for a connection can't outlive the runtime of the test that made it.
pub struct Database {
    name: String,
    options: PgConnectOptions,
}

impl Database {
    /// Clones the template.
    pub async fn create() -> Self {
        let server = server().await;
        let name = unique_name();
        let mut admin = server.connect().await;
        let one_at_a_time = server.cloning.lock().await;
        execute(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {}", server.template)).await;
        drop(one_at_a_time);
        admin.close().await.expect("a session ends");
        Self { options: server.admin.clone().database(&name), name }
    }

    /// Where the database is.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().into()
    }

    /// Deletes the database, whoever is still connected to it.
    pub async fn drop(self) {
        let mut admin = server().await.connect().await;
        execute(&mut admin, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        admin.close().await.expect("a session ends");
    }
}

/// The server that all tests of the process share.
struct Server {
    admin: PgConnectOptions,
    template: String,
    cloning: Mutex<()>,
    /// A server of our own lives as long as its keeper's input is open, which the operating system closes even if
    /// we are killed.
    _keeper: Option<Child>,
}

async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(Server::find_or_start).await
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "what a test runs on is none of the program's settings")]
    async fn find_or_start() -> Self {
        let (admin, keeper) = match env::var("VESTIBULE_TEST_POSTGRES_URL") {
            Ok(url) => {
                (url.parse().expect("VESTIBULE_TEST_POSTGRES_URL is the URL of a Postgres server"), None)
            }
            Err(_) => {
                let cluster = Cluster::start().await;
                (cluster.options, Some(cluster.keeper))
            }
        };
        let template = create_template(&admin).await;
        Self { admin, template, cloning: Mutex::new(()), _keeper: keeper }
    }

    async fn connect(&self) -> PgConnection {
        self.admin.connect().await.expect("the Postgres server of the tests answers")
    }
}

/// Makes the template, unless an earlier run has left it; its name says which migrations it has seen.
async fn create_template(admin: &PgConnectOptions) -> String {
    let mut digest = Sha256::new();
    for migration in sqlx::migrate!("migrations/postgres").iter() {
        digest.update(&migration.checksum);
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let template = format!("vestibule_template_{digest}");
    let mut connection = admin.connect().await.expect("the Postgres server of the tests answers");
    let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&template)
        .fetch_one(&mut connection)
        .await
        .expect("Postgres lists its databases");
    if !found {
        // Renamed when it is complete, so that two runs on one server never see half of it.
        let unfinished = unique_name();
        execute(&mut connection, format!("CREATE DATABASE {unfinished}")).await;
        let url = admin.clone().database(&unfinished).to_url_lossy();
        let repository = PostgresRepository::connect(url.as_str(), 1, START_TIMEOUT)
            .expect("a URL of our own is well formed");
        repository.migrate().await.expect("the migrations run on an empty database");
        repository.close().await;
        let renamed = sqlx::query(AssertSqlSafe(format!("ALTER DATABASE {unfinished} RENAME TO {template}")));
        if renamed.execute(&mut connection).await.is_err() {
            execute(&mut connection, format!("DROP DATABASE {unfinished}")).await;
        }
    }
    connection.close().await.expect("a session ends");
    template
}

/// A server of our own, which ends when this is dropped, and at the latest with this process.
pub struct Cluster {
    options: PgConnectOptions,
    keeper: Child,
}

impl Cluster {
    /// Starts one that is empty.
    pub async fn start() -> Self {
        let make = [
            "initdb",
            "-D",
            "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ];
        Self::make(&make).await
    }

    /// Starts a standby, which has what this one has.
    pub async fn standby(&self) -> Self {
        let (host, port) = (self.options.get_host(), self.options.get_port().to_string());
        let from = ["pg_basebackup", "-h", host, "-p", &port, "-U", self.options.get_username()];
        Self::make(&[&from[..], &["-D", "data", "-R", "-c", "fast", "--no-sync"]].concat()).await
    }

    /// Where its own database is.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().into()
    }

    /// Runs a statement on it.
    pub async fn execute(&self, statement: &str) {
        let mut connection = self.options.connect().await.expect("the server answers");
        execute(&mut connection, statement.to_owned()).await;
        connection.close().await.expect("a session ends");
    }

    async fn make(make: &[&str]) -> Self {
        let programs = find_programs();
        // The keeper deletes it.
        let folder =
            tempfile::Builder::new().prefix("vestibule-postgres-").tempdir().expect("a folder").keep();
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        // Postgres refuses to run as root.
        let user = Uid::effective().is_root().then(unprivileged_user);
        if let Some(user) = &user {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root gives a folder away");
        }
        let command = |program: &str| {
            let mut command = Command::new(program);
            if let Some(user) = &user {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            command.current_dir(&folder).env("LC_ALL", "C");
            command
        };
        let made = command(&programs.join(make[0]).to_string_lossy()).args(&make[1..]).output();
        let made = made.unwrap_or_else(|error| panic!("{}: {error}", make[0]));
        assert!(made.status.success(), "{}: {}", make[0], String::from_utf8_lossy(&made.stderr));
        let keeper = command("sh")
            .args(["-c", KEEPER, "sh"])
            .args([&programs, &folder])
            .arg(port.to_string())
            // A group of its own, so that Ctrl-C ends the tests first, and then the keeper by their end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let options: PgConnectOptions = url.parse().expect("a URL of our own is well formed");
        wait_until_ready(&options, &folder).await;
        Self { options, keeper }
    }
}

/// Runs the server until its own input ends, which is when the tests are gone, however they went.
const KEEPER: &str = r#"
"$1/postgres" -D data -k "$2" -h 127.0.0.1 -p "$3" -c max_connections=400 -c shared_buffers=64MB \
    -c fsync=off -c full_page_writes=off -c autovacuum=off >log 2>&1 &
cat >/dev/null
kill -QUIT $!
wait $!
cd / && rm -rf "$2"
"#;

async fn wait_until_ready(options: &PgConnectOptions, folder: &Path) {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match options.connect().await {
            Ok(connection) => return connection.close().await.expect("a session ends"),
            Err(error) => assert!(
                Instant::now() < deadline,
                "Postgres does not start: {error}\n{}",
                fs::read_to_string(folder.join("log")).unwrap_or_default()
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The folder with `initdb` and `postgres`: on the PATH, or where Debian puts the newest.
#[expect(clippy::disallowed_methods, reason = "what a test runs on is none of the program's settings")]
fn find_programs() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    debian.sort_by_key(|path| std::cmp::Reverse(version(path)));
    env::split_paths(&path)
        .chain(debian.into_iter().map(|folder| folder.join("bin")))
        .filter_map(|folder| {
            // Where a link leads, the rest of the installation is.
            let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
            initdb.parent().map(Path::to_path_buf)
        })
        .find(|folder| folder.join("postgres").is_file())
        .expect(
            "the tests need a Postgres server: install the Debian package `postgresql`, \
             or set VESTIBULE_TEST_POSTGRES_URL to the URL of a superuser",
        )
}

fn unprivileged_user() -> User {
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .expect("Postgres does not run as root, and there is neither a user `postgres` nor `nobody`")
}

fn unique_name() -> String {
    format!("vestibule_test_{}", vestibule::random::uuid_v4(&vestibule::random::SystemRandom).simple())
}

async fn execute(connection: &mut PgConnection, statement: String) {
    let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
