//! Wrong input: each error says what is wrong and what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use windlass_conn::{Config, Connection, Error};

use crate::server::Server;

async fn error_of(url: &str) -> redis::RedisError {
    Connection::open(url).await.err().unwrap_or_else(|| panic!("{url} opens"))
}

#[tokio::test]
async fn an_unknown_scheme_names_those_that_are_accepted() {
    let error = error_of("http://localhost").await;
    assert!(matches!(Error::of(&error), Some(Error::BadUrl { .. })));
    let text = error.to_string();
    assert!(
        text.starts_with("the scheme `http` is unknown in \"http://localhost\"; expected a directory"),
        "{text}"
    );
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let text = error_of(&format!("redis://:secret@127.0.0.1:{port}")).await.to_string();
    assert_eq!(
        text,
        format!(
            "cannot connect to 127.0.0.1:{port} (Connection refused (os error 111)): nothing listens there; start a \
             server, or give a directory such as `./jobs` for the embedded store"
        )
    );
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let text = error_of("unix:/nonexistent/redis.sock").await.to_string();
    assert_eq!(
        text,
        "cannot connect to /nonexistent/redis.sock (No such file or directory (os error 2)): there is no such socket; \
         is the server running?"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_found_at_the_opening() {
    let Some(server) = Server::start(&["--requirepass", "secret"]).await else { return };
    for url in [server.url(), format!("{}?pass=wrong", server.url())] {
        let error = error_of(&url).await;
        let text = error.to_string();
        assert!(matches!(Error::of(&error), Some(Error::Connect { .. })), "{text}");
        assert!(text.ends_with("check user and password in the URL"), "{text}");
        assert!(!text.contains("wrong\""), "{text}");
    }
    Connection::open(&format!("{}?pass=secret", server.url())).await.expect("the right password");
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_is_named() {
    // Root may write everywhere, so that it gets a path through a file instead.
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).expect("its owner may");
    let is_root = std::fs::create_dir(closed.join("probe")).is_ok();
    let path = if is_root { Path::new("/proc/version/jobs").to_owned() } else { closed.join("jobs") };
    let error = error_of(path.to_str().expect("a plain path")).await;
    assert!(matches!(Error::of(&error), Some(Error::Store(_))), "{error}");
    assert!(error.to_string().contains(path.to_str().expect("a plain path")), "{error}");
}

#[tokio::test]
async fn a_directory_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("thesis.tex"), "the only copy").expect("written");
    let error = error_of(folder.path().to_str().expect("a plain path")).await;
    assert!(error.to_string().contains("is not a Windlass directory"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing was added");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_still_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x".repeat(200));
    let config = Config::default();
    let mut connection = Connection::open_with(path.to_str().expect("a plain path"), config)
        .await
        .expect("the socket is elsewhere");
    let () = redis::cmd("SET").arg("k").arg(1).exec_async(&mut connection).await.expect("OK");
    let elsewhere =
        std::fs::read_to_string(path.join("windlass.sock.path")).expect("it says where the socket is");
    let socket = Path::new(elsewhere.trim());
    let mode = std::fs::metadata(socket).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
