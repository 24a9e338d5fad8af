//! A replica leaves under load behind a load balancer, and no call is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use replyguard::grpc::client::{Client, Code};
use replyguard::grpc::proto::{CheckCommentRequest, WatchDecisionsRequest, WatchQueueRequest};
use replyguard::http;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Builder;

use crate::backup::serve_restored;
use crate::support::models::without_limits;
use crate::support::service::{Service, check, comment, wait_for};

/// How often the load balancer looks; the drain delay is longer.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How long a leaving replica goes on.
const DRAIN_DELAY_MS: &str = "1500";

/// What is in front of the replicas: it gives each new connection to the first that is ready.
struct Balancer {
    address: SocketAddr,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Balancer {
    async fn start(replicas: &[&Service]) -> Self {
        let of = |service: &&Service| (service.first.grpc.clone(), service.first.http.clone());
        let replicas: Vec<_> = replicas.iter().map(of).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, target) = watch::channel(replicas[0].0.clone());
        let look = tokio::spawn(async move {
            loop {
                for (grpc, http) in &replicas {
                    let url = format!("http://{http}/readyz");
                    if http::client::get(&url).await.is_ok_and(|(status, _)| status == 200) {
                        tell.send_replace(grpc.clone());
                        break;
                    }
                }
                tokio::time::sleep(LOOK_PERIOD).await;
            }
        });
        let forward = tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let target = target.borrow().clone();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { address, tasks: vec![look.abort_handle(), forward.abort_handle()] }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

async fn checks(service: &Service) -> f64 {
    let (_, metrics) = service.page("/metrics").await;
    let verdicts = metrics.lines().filter(|line| line.starts_with("replyguard_verdicts_total{"));
    verdicts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_leaves_behind_a_load_balancer_loses_no_call() {
    let mut first = Service::start_with(&["--drain-delay-ms", DRAIN_DELAY_MS]).await;
    without_limits(&mut first.client().await).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    assert!(first.command(&["backup", "--to", file.to_str().unwrap()]).status.success());
    let second = serve_restored(&file, &first, &[]).await;
    let balancer = Balancer::start(&[&first, &second]).await;

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for caller in 0..6_u64 {
        let address = balancer.address.to_string();
        let mut client = Client::connect(&address, Some(&first.first.key)).await.unwrap();
        let (stop, answered) = (stop.clone(), answered.clone());
        callers.push(tokio::spawn(async move {
            let mut closed = 0;
            while !stop.load(Ordering::Relaxed) {
                let number = answered.fetch_add(1, Ordering::Relaxed);
                let text = format!("Caller {caller} reads on, and has {number} questions.");
                let id = u128::from(caller) << 64 | number as u128;
                let request_id = Builder::from_random_bytes(id.to_be_bytes()).into_uuid();
                let request_id = request_id.to_string();
                let request = CheckCommentRequest { request_id, ..check(comment(&text)) };
                let Err(status) = client.comments.check_comment(request.clone()).await else {
                    continue;
                };
                // When the server says that it leaves, hyper drops what it had not sent yet: once,
                // with the connection. Such a call reached nobody and is tried again.
                closed += 1;
                let dropped = matches!(status.code(), Code::Cancelled | Code::Unavailable);
                if !dropped || closed > 1 {
                    return Err(status);
                }
                client.comments.check_comment(request).await?;
            }
            Ok(())
        }));
    }
    wait_for("the first replica to be under load", || async {
        (checks(&first).await > 100.0).then_some(())
    })
    .await;
    assert_eq!(checks(&second).await, 0.0);
    first.signal("TERM");
    // It says so before it leaves: it answers still.
    wait_for("the first replica to say that it leaves", || async {
        let (status, body) = first.page("/readyz").await;
        (status == 503 && body.contains("draining")).then_some(())
    })
    .await;
    let then = answered.load(Ordering::Relaxed);
    wait_for("calls to be answered while it leaves", || async {
        (answered.load(Ordering::Relaxed) > then + 20).then_some(())
    })
    .await;
    let ended = wait_for("the first replica to end", || {
        let ended = first.poll_ended();
        async move { ended }
    })
    .await;
    assert!(ended.success(), "{ended}: {}", first.printed());
    wait_for("the second replica to be under load", || async {
        (checks(&second).await > 100.0).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        let outcome = caller.await.unwrap();
        assert!(outcome.is_ok(), "a call was lost: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_replica_that_leaves_are_to_be_asked_for_again() {
    let mut service = Service::start().await;
    let mut client = service.client().await;
    let parent = || "sites/default".to_owned();
    let request = WatchDecisionsRequest { parent: parent(), ..Default::default() };
    let mut decisions = client.comments.watch_decisions(request).await.unwrap().into_inner();
    let request = WatchQueueRequest { parent: parent(), ..Default::default() };
    let mut queue = client.reviews.watch_queue(request).await.unwrap().into_inner();
    assert!(!decisions.message().await.unwrap().unwrap().resume_token.is_empty());
    assert!(!queue.message().await.unwrap().unwrap().resume_token.is_empty());
    service.signal("TERM");
    let ends = [decisions.message().await.unwrap_err(), queue.message().await.unwrap_err()];
    for status in ends {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().starts_with("replica-leaving: "), "{status}");
    }
    let ended = wait_for("the replica to end", || {
        let ended = service.poll_ended();
        async move { ended }
    })
    .await;
    assert!(ended.success(), "{ended}: {}", service.printed());
}
