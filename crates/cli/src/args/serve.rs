//! The flags of `windlass serve`. Those that Redis has bear its names.

use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The directory of the data; created if absent [default: windlass-data]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Keep the data in memory only: no directory, and it is gone at the end
    #[arg(long, conflicts_with_all = ["dir", "durability"])]
    pub in_memory: bool,
    /// An address to listen on, such as `0.0.0.0:6380` or `[::1]`; may be given several times
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub bind: Vec<String>,
    /// The port of each address that names none [default: 6380]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// A unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    pub unixsocket: Option<PathBuf>,
    /// Who may open the unix socket, as permission bits such as 770 [default: 600]
    #[arg(long, value_name = "BITS")]
    pub unixsocketperm: Option<String>,
    /// Listen with TLS on this port of each address as well
    #[arg(long, value_name = "PORT")]
    pub tls_port: Option<u16>,
    /// Listen with TLS only
    #[arg(long, requires = "tls_port")]
    pub tls_only: bool,
    /// The server's certificate in PEM form, with those between it and an authority behind it
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// The key of the certificate in PEM form
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// The authorities whose clients are let in, in PEM form
    #[arg(long, value_name = "FILE")]
    pub tls_ca_cert_file: Option<PathBuf>,
    /// Whether clients must show a certificate [default: yes]
    #[arg(long, value_name = "yes|no|optional")]
    pub tls_auth_clients: Option<String>,
    /// Without a password, serve clients of this machine only [default: yes]
    #[arg(long, value_name = "yes|no")]
    pub protected_mode: Option<String>,
    /// The most clients at one time [default: 10000]
    #[arg(long, value_name = "COUNT")]
    pub maxclients: Option<String>,
    /// Disconnect clients that say nothing for so many seconds; 0 for never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<String>,
    /// Ask whether a client is still there after so many seconds without a word; 0 for never [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub tcp_keepalive: Option<String>,
    /// How much may lie unread of replies and of messages: class, hard limit, soft limit and its seconds, repeated
    /// [default: "normal 0 0 0 pubsub 32mb 8mb 60"]
    #[arg(long, value_name = "LIMITS")]
    pub client_output_buffer_limit: Option<String>,
    /// Answer others that the server is busy once a script has run for so many milliseconds; 0 for never
    /// [default: 5000]
    #[arg(long, value_name = "MS")]
    pub busy_reply_threshold: Option<String>,
    /// Who may call DEBUG, whose subcommands are for tests: nobody, everybody, or clients of this machine [default: no]
    #[arg(long, value_name = "no|yes|local")]
    pub enable_debug_command: Option<String>,
    /// When a write is acknowledged: after the sync to disk, or with a sync each second, or none at all [default: always]
    #[arg(long, value_name = "always|everysec|none")]
    pub durability: Option<String>,
    /// The most that a rewrite of the log writes a second, such as 50mb, where it slows the log's syncs down
    /// [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub rewrite_rate: Option<String>,
    /// The most memory that a rewrite or a snapshot takes for what is changed meanwhile; then that goes to a temporary file
    /// [default: 64mb]
    #[arg(long, value_name = "SIZE")]
    pub rewrite_memory: Option<String>,
    /// A file whose first line is the password that clients must give
    #[arg(long, value_name = "FILE")]
    pub requirepass_file: Option<PathBuf>,
    /// The most memory that data may take, such as 512mb or 2gb; then writes are refused [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub maxmemory: Option<String>,
    /// What goes at that limit: nothing (noeviction), or keys that were not used for long (allkeys-lru), which no store
    /// of jobs should allow [default: noeviction]
    #[arg(long, value_name = "POLICY")]
    pub maxmemory_policy: Option<String>,
}
