//! Carries accidents out, and heals them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::messages::Copies;
use super::proxy::Weather;
use super::schedule::{Accident, Fault, Link, Mood, Role};
use super::servers;
use super::site::{Site, Slot, lock};
use crate::serve::now;

/// How long a process may take to end, and its successor to come, before the next one is replaced.
const ROLL_LIMIT: Duration = Duration::from_secs(15);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes that are left on a full disk at most: nothing.
const BALLAST: &str = "ballast";
/// Size of the disk of blobs and logs.
const DISK: &str = "size=192m";

/// Lets one accident happen, and heals it once its time is over.
///
/// # Errors
/// Something of ours is not there, or could not be brought back: nothing that the product did.
pub(super) fn happen(site: &Site, copies: &Copies, accident: &Accident) -> Result<()> {
    let lasts = || std::thread::sleep(accident.lasts);
    match accident.fault {
        Fault::Kill { role, which } => held(site, role, which, Slot::kill, lasts, |_| Ok(())),
        Fault::Freeze { role, which } => {
            held(site, role, which, |slot| slot.signal("-STOP"), lasts, |slot| slot.signal("-CONT"))
        }
        Fault::Scale { role, to } => site.scale(role, usize::from(to)),
        Fault::BrokerKill => servers::kill_broker(site, lasts),
        Fault::BrokerFreeze => servers::freeze_broker(site, lasts),
        Fault::BrokerRestart => servers::restart_broker(site, lasts),
        Fault::BrokerAlarm => servers::alarm_broker(site, lasts),
        Fault::QueuesPurge => servers::purge_queues(site),
        Fault::QueueDelete { which } => servers::delete_queue(site, which),
        Fault::RedisKill => servers::kill_redis(site, lasts),
        Fault::RedisEmpty => lock(&site.redis).command("FLUSHALL").map(drop),
        Fault::RedisFull => servers::fill_redis(site, lasts),
        Fault::RedisForgets => servers::rewind_redis(site, lasts),
        Fault::StoreKill => servers::kill_store(site, lasts),
        Fault::StoreSlow => {
            let all = |weather| each(site, |slot| slot.set_weather(Link::Store, weather));
            all(Weather::Far);
            lasts();
            all(Weather::Fair);
            Ok(())
        }
        Fault::DiskFull => full_disk(&site.shape.folder, lasts),
        Fault::Network { role, which, link, weather } => {
            network(site, (role, which), link, weather, lasts)
        }
        Fault::Clock { role, which, minutes, jump_minutes } => {
            clock(site, role, which, [minutes, jump_minutes], accident.lasts)
        }
        Fault::Repeat { of_long_ago } => copies.repeat(site, of_long_ago, accident.lasts),
        Fault::Target(mood) => {
            site.ask_ledger()?.be(mood)?;
            lasts();
            site.ask_ledger()?.be(Mood::Well)
        }
        Fault::Roll => roll(site),
        // People know by themselves when.
        Fault::Meddling => {
            lasts();
            Ok(())
        }
    }
}

/// Something that happens to one process which nobody else touches meanwhile.
fn held(
    site: &Site,
    role: Role,
    which: u8,
    begin: impl FnOnce(&mut Slot) -> Result<()>,
    lasts: impl FnOnce(),
    heal: impl FnOnce(&mut Slot) -> Result<()>,
) -> Result<()> {
    let name = site.at(role, which, |slot| {
        slot.hold(true);
        begin(slot)?;
        Ok(slot.name())
    })?;
    let Some(name) = name else { return Ok(()) };
    lasts();
    let healed = site.named(&name, |slot| {
        slot.hold(false);
        heal(slot)
    });
    healed.unwrap_or(Ok(()))
}

fn network(
    site: &Site,
    (role, which): (Role, u8),
    link: Link,
    weather: Weather,
    lasts: impl FnOnce(),
) -> Result<()> {
    let name = site.at(role, which, |slot| {
        slot.set_weather(link, weather);
        Ok(slot.name())
    })?;
    let Some(name) = name else { return Ok(()) };
    lasts();
    site.named(&name, |slot| slot.set_weather(link, Weather::Fair));
    Ok(())
}

fn each(site: &Site, act: impl Fn(&mut Slot)) {
    for (_, name, _) in site.places() {
        site.named(&name, &act);
    }
}

/// Gives the blobs and logs a small disk of their own; whether that could be done.
pub(super) fn mount(folder: &Path) -> Result<bool> {
    let shared = folder.join("shared");
    if is_mounted(&shared)? {
        return Ok(true);
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&shared);
    Ok(mount.status().is_ok_and(|status| status.success()))
}

/// Takes the disk away again, with what is on it.
pub(super) fn unmount(folder: &Path) -> Result<()> {
    let shared = folder.join("shared");
    if is_mounted(&shared)? {
        run(Command::new("umount").arg(&shared))?;
    }
    Ok(())
}

fn is_mounted(shared: &Path) -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let place = shared.canonicalize()?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == place.to_str()))
}

fn full_disk(folder: &Path, lasts: impl FnOnce()) -> Result<()> {
    let shared = folder.join("shared");
    // Where it may not have a disk of its own, nobody's is filled.
    if !is_mounted(&shared)? {
        return Ok(());
    }
    let ballast = shared.join(BALLAST);
    let mut file = File::create(&ballast)?;
    // Writes until nothing more fits.
    drop(std::io::copy(&mut std::io::repeat(0), &mut file));
    lasts();
    Ok(std::fs::remove_file(&ballast)?)
}

/// What a process is given so that its clock is off by what a file says, while durations stay as they are.
pub(super) fn off_by(file: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let library = Command::new("faketime").args(["-m", "0", "printenv", "LD_PRELOAD"]).output();
    let library = library.context("no `faketime`; on Debian: `apt-get install faketime`")?;
    let library = PathBuf::from(String::from_utf8(library.stdout)?.trim());
    ensure!(library.is_absolute(), "faketime preloads {}", library.display());
    Ok(vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.to_owned()),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ])
}

/// A process starts with a clock that is off, which then jumps; afterwards it starts with the right one.
fn clock(
    site: &Site,
    role: Role,
    which: u8,
    [minutes, jump]: [i16; 2],
    lasts: Duration,
) -> Result<()> {
    let name = site.at(role, which, |slot| {
        let file = site.shape.folder.join(format!("{}.clock", slot.name()));
        std::fs::write(&file, format!("{minutes:+}m"))?;
        slot.set_clock(Some(file));
        slot.kill()?;
        Ok(slot.name())
    })?;
    let Some(name) = name else { return Ok(()) };
    std::thread::sleep(lasts / 2);
    let file = site.shape.folder.join(format!("{name}.clock"));
    std::fs::write(&file, format!("{:+}m", minutes + jump))?;
    std::thread::sleep(lasts / 2);
    let right = site.named(&name, |slot| {
        slot.set_clock(None);
        slot.kill()
    });
    right.unwrap_or(Ok(()))
}

/// Each that runs is asked to end, and replaced, before the next one is.
fn roll(site: &Site) -> Result<()> {
    for (_, name, is_wanted) in site.places() {
        let told = site.named(&name, |slot| {
            slot.change_version();
            slot.ask_to_end().map(|()| slot.starts())
        });
        let (Some(told), true) = (told, is_wanted) else { continue };
        let (before, began) = (told?, now());
        let is_replaced = || site.named(&name, |slot| slot.starts()).is_none_or(|now| now > before);
        while !is_replaced() && began.elapsed() < ROLL_LIMIT {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
    Ok(())
}

pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// A text in an answer; empty if there is none.
pub(super) fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}
