//! A store that is away for a while, in each of the ways in which Redis can be: a worker goes on by itself as soon as it
//! is back, and says once that it was gone.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use windlass::{Client, Config, Connection, Event, Push, Retry, Systemd, Worker};
use windlass_test::redis_server::RedisServer;

/// A worker goes on so long after the store is back, at most.
const RESUMED_MAX: Duration = Duration::from_secs(5);
/// How long the store is away: long enough for every service to notice.
const AWAY: Duration = Duration::from_millis(2500);

/// A worker on a Redis, and what it told.
struct Scene {
    server: RedisServer,
    client: Client,
    ran: mpsc::UnboundedReceiver<String>,
    lost: Arc<AtomicUsize>,
    back: mpsc::UnboundedReceiver<()>,
    control: windlass::Control,
    working: tokio::task::JoinHandle<windlass::Result<windlass::Summary>>,
}

impl Scene {
    async fn start() -> Option<Self> {
        let args = ["--appendonly", "yes", "--enable-debug-command", "yes"];
        let server = RedisServer::start_or_skip(&args)?;
        let url = server.url();
        Some(Self::at(server, &url).await)
    }

    /// A worker that knows its store by this URL.
    async fn at(server: RedisServer, url: &str) -> Self {
        Self::with(server, url, |worker| worker).await
    }

    async fn with(server: RedisServer, url: &str, dress: impl FnOnce(Worker) -> Worker) -> Self {
        let connection = Connection::open(url).await.expect("it answers");
        let config = Config { lease: Duration::from_secs(1), ..Config::default() };
        let client = Client::with_config(connection, config).await.expect("the store is fit");
        let (tell, ran) = mpsc::unbounded_channel();
        let (say_back, back) = mpsc::unbounded_channel();
        let lost = Arc::new(AtomicUsize::new(0));
        let count = lost.clone();
        let worker = Worker::new(&client)
            .concurrency(4)
            .register_raw("note", Retry::Never, move |args, _| {
                tell.send(args.get().to_owned()).ok();
                async move { Ok(args) }
            })
            .on_event(move |event| match event {
                Event::StoreLost { .. } => {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Event::StoreBack => {
                    say_back.send(()).ok();
                }
                _ => {}
            });
        let worker = dress(worker);
        let control = worker.control();
        let working = tokio::spawn(worker.run());
        let mut scene = Self { server, client, ran, lost, back, control, working };
        scene.push("1").await;
        assert_eq!(scene.ran.recv().await.as_deref(), Some("1"));
        // A call that is under way when the store goes has an error; one that is made later only waits, and tells of none.
        while !ask::<String>(&scene.server, "INFO clients")
            .await
            .expect("it answers")
            .contains("blocked_clients:1")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        scene
    }

    /// Pushes a job as soon as the store lets it: a killed script or a load may end a moment after it was said.
    async fn push(&self, number: &str) {
        let args = serde_json::value::RawValue::from_string(number.to_owned()).expect("a number is JSON");
        while self.client.push_raw("note", &args, Push::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the store on a connection of its own.
    async fn ask(&self, line: &str) -> redis::RedisResult<redis::Value> {
        ask(&self.server, line).await
    }

    /// The worker says that the store is back, and said once that it was lost.
    async fn is_told_back(&mut self, how: &str) {
        timeout(RESUMED_MAX, self.back.recv())
            .await
            .unwrap_or_else(|_| panic!("{how}: nobody said it is back"));
        assert_eq!(self.lost.load(Ordering::Relaxed), 1, "{how}: told of once");
    }

    /// The store is back: what is pushed now runs in time, and the outage was told of once.
    async fn goes_on(mut self, how: &str) {
        timeout(AWAY, self.push("2")).await.unwrap_or_else(|_| panic!("{how}: the store does not come back"));
        let next = async { while self.ran.recv().await.expect("the worker runs") != "2" {} };
        timeout(RESUMED_MAX, next).await.unwrap_or_else(|_| panic!("{how}: the worker does not go on"));
        self.is_told_back(how).await;
        self.control.stop();
        self.working.await.expect("no panic").expect("the worker ends well");
        assert!(self.back.try_recv().is_err(), "{how}: it came back once");
    }
}

/// Asks a server on a connection of its own.
async fn ask<T: redis::FromRedisValue>(server: &RedisServer, line: &str) -> redis::RedisResult<T> {
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().expect("a command"));
    words.for_each(|word| {
        command.arg(word);
    });
    command.query_async(&mut connection).await
}

/// A stable address in front of servers, as a name or a load balancer is: what connects is led to the server of that
/// moment, and stays there.
struct Front {
    url: String,
    target: Arc<Mutex<SocketAddr>>,
}

impl Front {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}/", listener.local_addr().expect("an address"));
        let target = Arc::new(Mutex::new(target));
        let now = target.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = *now.lock().expect("no panic");
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.expect("it answers");
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { url, target }
    }
}

fn with_scene(run: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if let Some(scene) = Scene::start().await {
            run(scene).await;
        }
    });
}

#[test]
fn a_store_that_restarts() {
    with_scene(async |mut scene| {
        scene.server.kill();
        tokio::time::sleep(AWAY).await;
        scene.server.start_again().expect("it starts again");
        scene.goes_on("restart").await;
    });
}

#[test]
fn a_store_that_restarts_is_back_for_a_worker_without_work() {
    with_scene(async |mut scene| {
        scene.server.kill();
        tokio::time::sleep(AWAY).await;
        scene.server.start_again().expect("it starts again");
        scene.is_told_back("restart without work").await;
    });
}

#[test]
fn a_store_that_is_away_has_no_watchdog_end_the_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let Some(server) = RedisServer::start_or_skip(&["--appendonly", "yes"]) else { return };
        let (url, systemd) = (server.url(), Systemd::new(&path).watchdog(Duration::from_millis(100)));
        let mut scene = Scene::with(server, &url, |worker| worker.systemd(systemd)).await;
        scene.server.kill();
        tokio::time::sleep(AWAY).await;
        socket.set_nonblocking(true).expect("a setting");
        let mut buffer = [0; 64];
        while socket.recv(&mut buffer).is_ok() {}
        // What comes now was sent long after the store was gone.
        socket.set_nonblocking(false).expect("a setting");
        socket.set_read_timeout(Some(RESUMED_MAX)).expect("a setting");
        let length = socket.recv(&mut buffer).expect("the worker lives");
        assert_eq!(&buffer[..length], b"WATCHDOG=1");
        assert!(!scene.control.is_ready().await);
        scene.server.start_again().expect("it starts again");
        scene.goes_on("away from a watched worker").await;
    });
}

#[test]
fn a_store_that_is_a_replica_for_a_while() {
    with_scene(async |scene| {
        assert!(scene.control.is_ready().await);
        scene.ask("REPLICAOF 127.0.0.1 1").await.expect("it follows");
        assert!(!scene.control.is_ready().await, "it answers, and takes nothing");
        tokio::time::sleep(AWAY).await;
        scene.ask("REPLICAOF NO ONE").await.expect("it leads");
        scene.goes_on("READONLY").await;
    });
}

#[test]
fn a_store_that_fails_over_behind_a_stable_address() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let Some(old) = RedisServer::start_or_skip(&[]) else { return };
        let Some(new) = RedisServer::start_or_skip(&[]) else { return };
        let follow = |leader: &RedisServer| format!("REPLICAOF 127.0.0.1 {}", leader.address().port());
        let () = ask(&new, &follow(&old)).await.expect("it follows");
        let front = Front::to(old.address()).await;
        let scene = Scene::at(old, &front.url).await;
        while !ask::<String>(&new, "INFO replication").await.expect("it answers").contains("link_status:up") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ask::<u64>(&scene.server, "WAIT 1 5000").await.expect("it answers"), 1);
        let () = ask(&new, "REPLICAOF NO ONE").await.expect("it leads");
        let () = ask(&scene.server, &follow(&new)).await.expect("it follows");
        tokio::time::sleep(AWAY).await;
        // The old one lives, and what is connected to it may stay so for as long as it likes.
        *front.target.lock().expect("no panic") = new.address();
        scene.goes_on("failover").await;
    });
}

#[test]
fn a_store_that_is_full_for_a_while() {
    with_scene(async |scene| {
        assert!(scene.control.is_ready().await);
        scene.ask("CONFIG SET maxmemory 1").await.expect("it is full");
        assert!(!scene.control.is_ready().await, "it answers, and takes nothing");
        tokio::time::sleep(AWAY).await;
        scene.ask("CONFIG SET maxmemory 0").await.expect("it has room");
        scene.goes_on("OOM").await;
    });
}

#[test]
fn a_store_that_is_busy_with_a_script() {
    with_scene(async |scene| {
        scene.ask("CONFIG SET busy-reply-threshold 50").await.expect("a setting");
        let url = scene.server.url();
        let busy = tokio::spawn(async move {
            let client = redis::Client::open(url).expect("a URL");
            let mut connection = client.get_multiplexed_async_connection().await.expect("it answers");
            let endless =
                redis::cmd("EVAL").arg("while true do end").arg(0).query_async(&mut connection).await;
            endless.map(|_: redis::Value| ())
        });
        tokio::time::sleep(AWAY).await;
        scene.ask("SCRIPT KILL").await.expect("it ends");
        assert!(busy.await.expect("no panic").is_err());
        scene.goes_on("BUSY").await;
    });
}

#[test]
fn a_store_that_loads() {
    with_scene(async |scene| {
        for _ in 0..4 {
            scene.ask("DEBUG POPULATE 1000 filler 1024").await.expect("keys");
        }
        // Ten microseconds of waiting for each key would be too short to be noticed; this takes about two seconds.
        scene.ask("CONFIG SET key-load-delay 2000").await.expect("a setting");
        scene.ask("CONFIG SET loading-process-events-interval-bytes 1024").await.expect("a setting");
        let _ = scene.ask("DEBUG RELOAD").await;
        scene.goes_on("LOADING").await;
    });
}
