use super::*;

const LONG: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_failing_driver_stops_everything() {
    let owner = Supervisor::new();
    owner.spawn(Kind::Driver, async { anyhow::bail!("broken") });
    tokio::time::timeout(LONG, owner.stopping().cancelled()).await.unwrap();
    assert!(owner.has_failed());
}

#[tokio::test]
async fn a_panicking_attempt_stops_nothing() {
    let owner = Supervisor::new();
    owner.spawn(Kind::Attempt, async { panic!("broken") });
    assert!(owner.shut_down(LONG).await);
    assert!(!owner.has_failed());
}

#[tokio::test]
async fn progress_is_dropped_and_a_runner_is_waited_for() {
    let owner = Supervisor::new();
    owner.spawn(Kind::Progress, forever());
    assert!(owner.shut_down(LONG).await);
    let stuck = Supervisor::new();
    stuck.spawn(Kind::Runner, forever());
    assert!(!stuck.shut_down(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn what_did_not_end_in_time_is_dropped() {
    let owner = Supervisor::new();
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    owner.spawn(Kind::Runner, async move {
        let _inside = inside;
        forever().await
    });
    assert!(!owner.shut_down(Duration::from_millis(50)).await);
    tokio::time::timeout(LONG, async {
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn services_stop_after_the_work_that_needs_them() {
    let owner = Supervisor::new();
    let (beats, work) = (owner.stopping_of(Kind::Heartbeat), owner.stopping());
    let order = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (Arc::clone(&order), Arc::clone(&order));
    owner.spawn(Kind::Heartbeat, async move {
        beats.cancelled().await;
        second.lock().unwrap().push("heartbeat");
        Ok(())
    });
    owner.spawn(Kind::Runner, async move {
        work.cancelled().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.lock().unwrap().push("runner");
        Ok(())
    });
    assert!(owner.shut_down(LONG).await);
    assert_eq!(*order.lock().unwrap(), ["runner", "heartbeat"]);
}

#[tokio::test]
async fn upkeep_is_started_again_until_it_ends_well() {
    let owner = Supervisor::new();
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    owner.spawn_restarting(Kind::Upkeep, move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match run {
                0 => anyhow::bail!("broken"),
                1 => panic!("worse"),
                _ => Ok(()),
            }
        }
    });
    tokio::time::timeout(LONG, async {
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(owner.shut_down(LONG).await);
    assert!(!owner.has_failed());
}

#[tokio::test]
async fn an_attempt_is_not_started_again() {
    let owner = Supervisor::new();
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    owner.spawn_restarting(Kind::Attempt, move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { anyhow::bail!("broken") }
    });
    assert!(owner.shut_down(LONG).await);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn forever() -> anyhow::Result<()> {
    std::future::pending().await
}
