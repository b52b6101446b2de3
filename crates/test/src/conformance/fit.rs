//! What is found out at connect: whether the store and the namespace are fit for jobs.

use windlass::{Client, Config, Error, Keys};

use super::world::{Store, World};

/// Why a client of a namespace is refused whose schema key was set by this command.
async fn refusal(store: &Store, world: &World, set: &[&str]) -> String {
    let namespace = format!("{}-other", world.config.namespace);
    let key = Keys::new(&namespace).unwrap().schema();
    let mut args = vec![key.as_str()];
    args.extend(&set[1..]);
    let _: redis::Value = world.ask(set[0], &args).await;
    let before: String = world.ask("TYPE", &[&key]).await;
    let config = Config { namespace: namespace.clone(), ..Config::default() };
    let refused = Client::with_config(store.connect().await, config).await;
    let after: String = world.ask("TYPE", &[&key]).await;
    assert_eq!(before, after, "nothing of it was touched");
    match refused {
        Err(Error::Unsupported(why)) => why.replace(&namespace, "NS"),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_namespace_of_another_layout_is_refused_with_what_to_do(store: &Store) {
    let world = store.world().await;
    let why = refusal(store, &world, &["SET", "99"]).await;
    let own = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "the namespace `NS` has layout 99, and Windlass {own} reads layout 1: use a version of Windlass that reads \
         layout 99, or another namespace"
    );
    assert_eq!(why, expected);
}

pub(super) async fn a_namespace_of_something_else_is_refused_with_what_to_do(store: &Store) {
    let world = store.world().await;
    let why = refusal(store, &world, &["RPUSH", "1"]).await;
    assert_eq!(
        why,
        "the key `wl:{NS}:schema` is no text, so that something other than Windlass has the namespace `NS`: use another \
         namespace, or delete the key if nobody needs it"
    );
}
