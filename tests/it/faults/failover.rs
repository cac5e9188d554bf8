//! A primary that is gone, and a standby that takes its place.

use std::time::Duration;

use vestibule::{
    grpc::proto::ListUnverifiedRequest,
    repository::{Repository as _, postgres::PostgresRepository},
};

use super::{assert_works, create, unavailable, wait_until_serving};
use crate::support::{
    postgres::Cluster,
    proxy::{Proxy, Way},
    server::TestServer,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_not_used_before_it_is_promoted_and_then_it_is() {
    let primary = Cluster::start().await;
    let repository = PostgresRepository::connect(&primary.url(), 1, Duration::from_secs(30)).unwrap();
    repository.migrate().await.unwrap();
    repository.close().await;
    let way = Proxy::to(&primary.url()).await;
    let server = TestServer::start_configured(&way.url, "").await;
    let client = server.client().await;
    let alice = client.register("alice", "alice@example.com").await;
    let standby = primary.standby().await;

    way.turn_to(&standby.url());
    way.set(Way::Closed);
    drop(primary);
    wait_until_serving(&server, false).await;
    way.set(Way::Open);
    unavailable(create(&client, "bob").await);
    // It may be behind.
    unavailable(client.list_unverified(ListUnverifiedRequest::default()).await);

    standby.execute("SELECT pg_promote()").await;
    wait_until_serving(&server, true).await;
    assert_works(&client, "bob").await;
    client.use_key(&alice.key).await.unwrap();
    server.stop().await;
}
