//! The plans of the statements that a store really sends: the database explains each and tells it to the session,
//! where the driver logs it.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;

/// Collects the plans of the statements that this thread sends.
pub struct Plans {
    log: Log,
    _guard: DefaultGuard,
}

/// What a statement did.
pub struct Plan(Value);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Plans {
    /// Has the database tell every later session the plan of each of its statements.
    pub async fn switch_on(connection: &mut PgConnection) {
        let name: String =
            sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut *connection).await.unwrap();
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_format = json",
            "client_min_messages = log",
        ] {
            let statement = format!("ALTER DATABASE {name} SET {setting}");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
        }
    }

    /// Listens until it is dropped.
    pub fn collect() -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("sqlx::postgres::notice=trace"))
            .with_writer(move || writer.clone())
            .finish();
        Self { log, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The plans told since the last look, but for those of the pool's own look at a session.
    pub fn take(&self) -> Vec<Plan> {
        let log = std::mem::take(&mut *self.log.0.lock().unwrap_or_else(PoisonError::into_inner));
        let lines = String::from_utf8(log).unwrap();
        let told = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        told.filter_map(|event| {
            let message = event["fields"]["message"].as_str().unwrap().to_owned();
            let (_, plan) = message.split_once("plan:\n")?;
            let mut plan: Value = serde_json::from_str(plan).unwrap();
            let of_the_pool = plan["Query Text"].as_str().unwrap().contains("pg_is_in_recovery()");
            (!of_the_pool).then(|| Plan(plan["Plan"].take()))
        })
        .collect()
    }
}

impl Plan {
    /// How many pages of tables and indexes the statement looked at.
    pub fn pages(&self) -> u64 {
        pages(&self.0)
    }

    /// The indexes that were walked, in the order of their use.
    pub fn indexes(&self) -> Vec<&str> {
        let nodes = nodes(&self.0);
        nodes.into_iter().filter_map(|node| node["Index Name"].as_str()).collect()
    }

    /// How many rows of tables were read, those that a condition dropped included.
    pub fn rows_read(&self) -> u64 {
        let nodes = nodes(&self.0);
        let scans = nodes
            .into_iter()
            .filter(|node| node["Relation Name"].is_string() && node["Node Type"] != "ModifyTable");
        scans
            .map(|node| {
                let of_each = |name: &str| node[name].as_u64().unwrap_or_default();
                (of_each("Actual Rows") + of_each("Rows Removed by Filter")) * of_each("Actual Loops")
            })
            .sum()
    }

    /// Whether a table was read from its beginning, without an index.
    pub fn reads_the_whole(&self, table: &str) -> bool {
        let is_scan = |node: &Value| node["Node Type"] == "Seq Scan" && node["Relation Name"] == table;
        nodes(&self.0).into_iter().any(is_scan)
    }
}

/// The nodes, a line each.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in nodes(&self.0) {
            for name in [
                "Node Type",
                "Index Name",
                "Index Cond",
                "Filter",
                "Actual Loops",
                "Actual Rows",
                "Rows Removed by Filter",
            ] {
                if !node[name].is_null() {
                    write!(f, "{name}: {}; ", node[name])?;
                }
            }
            writeln!(f, "pages: {}", pages(node))?;
        }
        Ok(())
    }
}

/// How many pages a node and those below it looked at.
fn pages(node: &Value) -> u64 {
    ["Shared Hit Blocks", "Shared Read Blocks"].iter().map(|name| node[name].as_u64().unwrap()).sum()
}

/// A plan's node and all below it.
fn nodes(node: &Value) -> Vec<&Value> {
    let below = node["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(node).chain(below).collect()
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
