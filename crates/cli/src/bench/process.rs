//! What processes and the store have used so far.

use std::fs;

use windlass_conn::Connection;

/// The clock ticks of `/proc/PID/stat` are hundredths of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time that a process of this number has used; 0 where the system does not tell.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program may hold spaces; fields are counted after its closing parenthesis.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() << 10
}

/// One figure of the store's INFO.
pub async fn store_info(connection: &Connection, section: &str, name: &str) -> Option<String> {
    let text: String = redis::cmd("INFO").arg(section).query_async(&mut connection.clone()).await.ok()?;
    info_field(&text, name).map(str::to_owned)
}

/// What the store says that its data takes.
pub async fn store_bytes(connection: &Connection) -> Option<u64> {
    store_info(connection, "memory", "used_memory").await?.parse().ok()
}

/// Seconds of processor time that the store's process has used.
pub async fn store_cpu(connection: &Connection) -> Option<f64> {
    let user: f64 = store_info(connection, "cpu", "used_cpu_user").await?.parse().ok()?;
    let system: f64 = store_info(connection, "cpu", "used_cpu_sys").await?.parse().ok()?;
    Some(user + system)
}

/// One field of the text that INFO answers.
pub fn info_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value.trim())
}
