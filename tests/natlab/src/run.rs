//! Runs: one pair or one event each, on a separate stage.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use ::tests::process::Process;
use ::tests::stage::{self, Stage};
use anyhow::anyhow;
use patience::{patience, scaled};
use rustix::process::Signal;

use crate::demo;
use crate::event::{Action, Event};
use crate::expect::{self, Client, Deployment};
use crate::lab::Lab;
use crate::page::Pages;
use crate::probe::{self, Found};
use crate::results::{EventRun, PairRun};
use crate::router::Router;
use crate::servers::Servers;
use crate::silence::{self, Sample};

/// Limit of a run on a calm machine.
const LIMIT: Duration = Duration::from_secs(400);
/// How long a call of headless peers lasts on a calm machine, and at most: all its messages and a verdict on sound must fit.
const CALL: Duration = Duration::from_secs(6);
const LONGEST_CALL: Duration = Duration::from_secs(40);
/// How long they wait for each other on a calm machine, and at most.
const MEETING: Duration = Duration::from_secs(30);
const LONGEST_MEETING: Duration = Duration::from_secs(60);
/// A call that lasts until it is ended.
const ENDLESS: Duration = Duration::from_secs(600);
/// Between two looks at the counters.
const INTERVAL: Duration = Duration::from_millis(250);
/// Seconds of media before an event, and after it until a silence is over.
const STEADY: f64 = 4.0;
/// Seconds after an event's last action until what is silent stays so.
const GIVEN_UP: u64 = 90;

/// Runs something on a stage in a thread with this name, by which its logs are found.
///
/// # Errors
/// When it fails.
pub fn on_stage<T: Send>(
    name: &str,
    run: impl AsyncFnOnce(&Stage) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let work = || {
        let mut outcome = None;
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            stage::run_for(LIMIT, async |stage| {
                outcome = Some(run(stage).await?);
                Ok(())
            });
        }));
        outcome.ok_or_else(|| match ended {
            Ok(()) => anyhow!("no outcome"),
            Err(panic) => panic
                .downcast_ref::<String>()
                .map_or_else(|| anyhow!("it panicked"), |text| anyhow!("{text}")),
        })
    };
    // A test has its logs where its last run had them, the lab's program by its number: several may run at once.
    let owner = match std::thread::current().name() {
        Some("main") | None => format!("natlab-{}", std::process::id()),
        Some(test) => format!("natlab::{test}"),
    };
    let name = format!("{owner}::{name}");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name);
        let joined = thread.spawn_scoped(scope, work)?.join();
        joined.map_err(|_| anyhow!("the run's thread panicked"))?
    })
}

/// What a router really does.
///
/// # Errors
/// When it can't be asked.
pub fn router(router: Router) -> anyhow::Result<Found> {
    on_stage(&format!("router-{}", router.name()), async |stage| {
        let lab = Lab::new(stage, &[router]).await?;
        let _servers = Servers::start(stage, &lab, Deployment::APART).await?;
        probe::ask(&lab, &lab.sides[0])
    })
}

/// A call between two routers.
#[must_use]
pub fn pair(client: Client, deployment: Deployment, routers: [Router; 2]) -> PairRun {
    let [a, b] = routers;
    let mut run = PairRun::new(client, deployment, routers, expect::pair(client, a, b));
    let name = format!("{client:?}-{}-{}", a.name(), b.name());
    let outcome = on_stage(&name, async |stage| {
        let lab = Lab::new(stage, &routers).await?;
        let servers = Servers::start(stage, &lab, deployment).await?;
        match client {
            Client::Demo => pair_of_demos(stage, &lab, &servers, &mut run).await,
            Client::Page => pair_of_pages(stage, &lab, &mut run).await,
        }
    });
    if let Err(error) = outcome {
        run.is_verified = false;
        run.note = first_line(&error);
    }
    run
}

fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

async fn pair_of_demos(
    stage: &Stage,
    lab: &Lab,
    servers: &Servers,
    run: &mut PairRun,
) -> anyhow::Result<()> {
    let meeting = scaled(MEETING).min(LONGEST_MEETING);
    let call = scaled(CALL).min(LONGEST_CALL);
    let times = (meeting.as_secs(), call.as_secs());
    let peers = demo::start_two(stage, lab, servers, times)?;
    let told = [
        demo::report(&peers[0]).await?,
        demo::report(&peers[1]).await?,
    ];
    run.is_verified = told.iter().all(|told| told.is_verified);
    run.seconds = told.iter().filter_map(|told| told.seconds).reduce(f64::max);
    run.way = told.iter().find_map(|told| told.way);
    run.note = told.map(|told| told.note).join(" ⇄ ");
    Ok(())
}

async fn pair_of_pages(stage: &Stage, lab: &Lab, run: &mut PairRun) -> anyhow::Result<()> {
    let pages = Pages::start(stage, lab).await?;
    let (took, ..) = pages.meet(Instant::now()).await?;
    run.seconds = Some(took.as_secs_f64());
    pages.verify().await?;
    // Chromium takes the way that works first, and a better one a moment later.
    let (_, way, ends) = pages.meet(Instant::now()).await?;
    run.way = Some(way);
    run.is_verified = true;
    run.note = ends;
    Ok(())
}

/// A call in which something happens.
#[must_use]
pub fn event(client: Client, event: &'static Event) -> EventRun {
    let mut run = EventRun::new(client, event);
    let name = format!("{client:?}-{}", event.name);
    let outcome = on_stage(&name, async |stage| {
        let lab = Lab::new(stage, &event.routers).await?;
        let servers = Servers::start(stage, &lab, event.deployment).await?;
        let call = match client {
            Client::Demo => {
                let peers = demo::start_two(
                    stage,
                    &lab,
                    &servers,
                    (LONGEST_MEETING.as_secs(), ENDLESS.as_secs()),
                )?;
                Call::Demos(Box::new(peers))
            }
            Client::Page => {
                let pages = Pages::start(stage, &lab).await?;
                pages.meet(Instant::now()).await?;
                Call::Pages(pages)
            }
        };
        let mut watch = Watch {
            stage,
            lab: &lab,
            servers,
            samples: [Vec::new(), Vec::new()],
        };
        watch.play(event).await?;
        run.silences = watch.samples.each_ref().map(|samples| silence::of(samples));
        call.end(&mut run).await
    });
    if let Err(error) = outcome {
        run.note = first_line(&error);
    }
    run
}

/// Who is in the call.
enum Call {
    Demos(Box<[Process; 2]>),
    Pages(Pages),
}

impl Call {
    /// What they say at the end.
    async fn end(&self, run: &mut EventRun) -> anyhow::Result<()> {
        let is_back = run.silences.iter().all(|silence| silence.back.is_some());
        match self {
            Self::Demos(peers) => {
                let told = [demo::stop(&peers[0]).await?, demo::stop(&peers[1]).await?];
                run.note = told.map(|told| told.note).join(" ⇄ ");
                run.is_back = is_back;
            }
            Self::Pages(pages) => {
                run.note = pages.say().await?;
                // One that is lost would be waited for in vain.
                if is_back {
                    pages.verify().await?;
                }
                run.is_back = is_back;
            }
        }
        Ok(())
    }
}

/// Counts what arrives at both sides while something happens.
struct Watch<'a> {
    stage: &'a Stage,
    lab: &'a Lab,
    servers: Servers,
    samples: [Vec<Sample>; 2],
}

impl Watch<'_> {
    async fn play(&mut self, event: &Event) -> anyhow::Result<()> {
        self.until_steady().await?;
        let started = Instant::now();
        for samples in &mut self.samples {
            samples.clear();
        }
        let origin = started + Duration::from_secs_f64(STEADY);
        self.look_until(origin, origin).await?;
        for (at, action) in event.actions {
            self.look_until(origin, origin + Duration::from_secs(*at))
                .await?;
            self.act(*action).await?;
        }
        let last = origin + Duration::from_secs(event.last_action());
        self.look_until(origin, last + Duration::from_secs(event.watched))
            .await?;
        let end = last + Duration::from_secs(GIVEN_UP);
        while Instant::now() < end && !self.have_all(STEADY) {
            self.look(origin).await?;
        }
        Ok(())
    }

    /// Waits until media comes at both sides.
    async fn until_steady(&mut self) -> anyhow::Result<()> {
        let origin = Instant::now();
        let end = origin + patience();
        while !self.have_all(STEADY) {
            if Instant::now() > end {
                return Err(anyhow!("media does not come steadily before the event"));
            }
            self.look(origin).await?;
        }
        Ok(())
    }

    fn have_all(&self, seconds: f64) -> bool {
        self.samples
            .iter()
            .all(|samples| silence::has_ended(samples, seconds))
    }

    async fn look_until(&mut self, origin: Instant, end: Instant) -> anyhow::Result<()> {
        while Instant::now() < end {
            self.look(origin).await?;
        }
        Ok(())
    }

    async fn look(&mut self, origin: Instant) -> anyhow::Result<()> {
        tokio::time::sleep(INTERVAL).await;
        for (samples, side) in self.samples.iter_mut().zip(&self.lab.sides) {
            let packets = side.media_packets()?;
            let now = Instant::now();
            let at = match now.checked_duration_since(origin) {
                Some(since) => since.as_secs_f64(),
                None => -(origin - now).as_secs_f64(),
            };
            samples.push(Sample { at, packets });
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> anyhow::Result<()> {
        let side = &self.lab.sides[0];
        match action {
            Action::Cut => side.interfere("drop"),
            Action::BlockUdp => side.interfere("meta l4proto udp drop"),
            Action::Heal => side.interfere(""),
            Action::ChangeMappings => side.change_mappings(),
            Action::Unplug => side.unplug(0),
            Action::PlugElsewhere => side.plug_in(1),
            Action::KillRelay => self.servers.signal_relay(Signal::KILL).await,
            Action::DrainRelay => self.servers.drain_relay(),
            Action::StartRelay => self.servers.start_relay(self.stage, self.lab).await,
            Action::StallRelay => self.servers.signal_relay(Signal::STOP).await,
            Action::WakeRelay => self.servers.signal_relay(Signal::CONT).await,
            Action::KillSignaling => self.servers.kill_signaling().await,
            Action::StartSignaling => self.servers.start_signaling(self.stage, self.lab).await,
        }
    }
}
