//! The native bodies of scripts against the texts that they stand for: whatever calls come, replies, messages to
//! others and logged effects are the same.

mod laned;
mod script;
mod subject;

use windlass::broker::hot_scripts;
use windlass_db::faults::Random;
use windlass_engine::{Time, native_scripts};
use windlass_resp::Value;

use crate::laned::Laned;
use crate::script::{Script, words};
use crate::subject::{Answer, Subject};

const SEEDS: std::ops::Range<u64> = 0..40;
/// Those of calls for lanes, which cost their texts more.
const LANED_SEEDS: std::ops::Range<u64> = 0..20;
/// Those of calls under rules.
const RULED_SEEDS: std::ops::Range<u64> = 100..124;
const STEPS: usize = 300;

#[test]
fn the_engine_knows_the_scripts_that_are_sent() {
    let digests: Vec<_> =
        hot_scripts().iter().map(|text| redis::Script::new(text).get_hash().to_owned()).collect();
    let mut known: Vec<_> = native_scripts().collect();
    known.retain(|digest| digests.iter().any(|other| other == digest));
    assert_eq!(
        known, digests,
        "a script whose text changed needs its native body looked at, and its new digest"
    );
}

#[test]
fn one_key_for_two_uses_ends_as_the_text_says() {
    const KEYS: usize = 10;
    let now = Time::from_millis(1000);
    for pair in 0..KEYS * KEYS {
        let [answer, expected] = [true, false].map(|is_native| {
            let mut subject = Subject::new(is_native, now);
            let [push, exchange, ..] = subject.load(now);
            let before = [
                "XGROUP CREATE stream w 0 MKSTREAM".to_owned(),
                format!("EVALSHA {push} 2 stream wake count a b c d e f g h i j k l"),
                "XREADGROUP GROUP w worker COUNT 10 STREAMS stream >".to_owned(),
                "DEL wake".to_owned(),
            ];
            for line in &before {
                let reply = subject.call(subject.worker, &words(line), now).reply;
                assert!(reply.is_some_and(|reply| !reply.is_error()), "{line}");
            }
            let mut keys = words("stream suspect moved stats rules gate stream wake suspect result");
            keys[pair / KEYS] = keys[pair % KEYS].clone();
            let keys = keys.join(" ");
            let ended: String = (0..9).map(|number| format!("1000-{number} 1 ")).collect();
            let call =
                format!("EVALSHA {exchange} {KEYS} {keys} worker 9 1 0 0 1 {ended}1000-0 id 1000-0 50 {{}}");
            (keys, subject.call(subject.worker, &words(&call), now))
        });
        assert_eq!(answer, expected);
    }
}

/// Of jobs that end at once those in front of all that is pending go by a trim, and no other entry goes with them.
#[test]
fn whatever_ends_at_once_nothing_else_goes() {
    let now = Time::from_millis(1000);
    let mut random = Random::new(7);
    let mut trims = 0;
    for _ in 0..200 {
        // From all of them to about every fifth.
        let (often, is_laned) = (random.below(6), random.once_in(5));
        let (rest, ended): (Vec<u64>, Vec<u64>) = (0..20).partition(|_| often > 0 && random.below(6) < often);
        let pairs: String = ended.iter().map(|number| format!(" 1000-{number} 1")).collect();
        let [answer, expected] = [true, false].map(|is_native| {
            let mut subject = Subject::new(is_native, now);
            let [push, exchange, ..] = subject.load(now);
            let envelopes = "e ".repeat(24);
            let call = format!(
                "EVALSHA {exchange} 9 stream suspect moved stats gate gate stream wake suspect worker {} 0 0 0 0{pairs}",
                ended.len()
            );
            for line in [
                "XGROUP CREATE stream w 0 MKSTREAM",
                &format!("EVALSHA {push} 2 stream wake count {envelopes}"),
                "XREADGROUP GROUP w worker COUNT 20 STREAMS stream >",
                if is_laned { "HSET gate l 1000-22" } else { "DEL gate" },
            ] {
                let reply = subject.call(subject.worker, &words(line), now).reply;
                assert!(reply.is_some_and(|reply| !reply.is_error()), "{line}");
            }
            let before = subject.commands(now);
            let ended = subject.call(subject.worker, &words(&call), now);
            // The script's call, and the look at the count.
            assert_eq!(subject.commands(now) - before <= 2, is_native && !is_laned);
            let left = subject.call(subject.worker, &words("XRANGE stream - +"), now).reply;
            (ended, left)
        });
        assert_eq!(answer, expected, "{pairs}");
        let Some(Value::Array(entries)) = answer.1 else { panic!("no entries") };
        assert_eq!(entries.len(), rest.len() + 4, "{pairs}");
        trims += usize::from(answer.0.effects.contains("XTRIM"));
        assert!(!is_laned || !answer.0.effects.contains("XTRIM"));
    }
    assert!((30..150).contains(&trims), "{trims} of 200 were trims");
}

/// Jobs of lanes are read and trimmed like others unless plain ones wait behind them, which stay.
#[test]
fn jobs_of_lanes_end_at_once_too() {
    let now = Time::from_millis(1000);
    for has_plain in [false, true] {
        let [answer, expected] = [true, false].map(|is_native| {
            let mut subject = Subject::new(is_native, now);
            let [push, _, exchange, push_lane, ..] = subject.load(now);
            let plain = format!("EVALSHA {push} 2 wl:{{t}}:q:q wl:{{t}}:wake:q count plain");
            let jobs = " 1 a e".repeat(20);
            for line in [
                "XGROUP CREATE wl:{t}:q:q w 0 MKSTREAM",
                if has_plain { &plain } else { "PING" },
                &format!("EVALSHA {push_lane} 3 wl:{{t}}:seq wl:{{t}}:jobs wl:{{t}}:wake:q q count{jobs}"),
            ] {
                let reply = subject.call(subject.worker, &words(line), now).reply;
                assert!(reply.is_some_and(|reply| !reply.is_error()), "{line}");
            }
            let names = "q:q suspect:q moved stats gate:q gate:q q:q wake:q suspect:q";
            let keys: String = names.split(' ').map(|name| format!(" wl:{{t}}:{name}")).collect();
            let before = subject.commands(now);
            let take = format!("EVALSHA {exchange} 9{keys} worker 0 20 0r20 0 0");
            let taken = subject.call(subject.worker, &words(&take), now);
            let first = u64::from(has_plain);
            let ended: String = (first..20 + first).map(|number| format!(" 1000-{number} 1")).collect();
            let moved: String =
                (0..20).map(|number| format!(" 1000-{} q/s{}", number + first, number + 1)).collect();
            let end = format!("EVALSHA {exchange} 9{keys} worker 20 0 0r0 0 20{ended}{moved}");
            let ended = subject.call(subject.worker, &words(&end), now);
            assert_eq!(subject.commands(now) - before <= 3, is_native);
            let left = subject.call(subject.worker, &words("XLEN wl:{t}:q:q"), now).reply;
            let moved = subject.call(subject.worker, &words("EXISTS wl:{t}:moved"), now).reply;
            (taken, ended, left, moved)
        });
        assert_eq!(answer, expected);
        let (_, ended, left, moved) = answer;
        assert_eq!((left, moved), (Some(Value::from(i64::from(has_plain))), Some(Value::from(0_i64))));
        assert_eq!(ended.effects.contains("XTRIM"), !has_plain);
    }
}

#[test]
fn native_bodies_do_what_the_texts_do() {
    let mut tally = Tally::default();
    for seed in SEEDS {
        let mut now = Time::from_millis(1000);
        let (mut native, mut plain) = (Subject::new(true, now), Subject::new(false, now));
        let digests = native.load(now);
        assert_eq!(plain.load(now), digests);
        let mut script = Script::new(seed, digests);
        for step in 0..STEPS {
            now = Time::from_millis(now.millis() + script.random.below(3) as u64);
            if script.random.once_in(50) {
                now = Time::from_millis(now.millis() + 60);
            }
            if script.random.once_in(20) {
                let [answer, expected] = [&mut native, &mut plain].map(|subject| subject.tick(now));
                assert_eq!(answer, expected, "seed {seed}, before step {step}");
            }
            let is_idle = script.random.once_in(8) && !native.engine.is_waiting(native.idle);
            let call = match script.random.below(10) {
                _ if is_idle => words("BZPOPMIN wake0 wake1 wake2 0"),
                0..=2 => script.push(),
                3..=6 => script.exchange(),
                _ => script.plain(),
            };
            let mut calls = vec![call];
            if script.random.once_in(20) && !is_idle {
                calls.insert(0, words("WATCH wake0 stream1"));
                calls.insert(1 + script.random.below(2), words("MULTI"));
                calls.push(words("EXEC"));
            }
            for call in calls {
                let before = native.commands(now);
                let [answer, expected] = [&mut native, &mut plain].map(|subject| {
                    subject.call(if is_idle { subject.idle } else { subject.worker }, &call, now)
                });
                assert_eq!(answer, expected, "seed {seed}, step {step}: {call:?}");
                if call[0] == "EVALSHA" {
                    tally.count(&call, &expected, native.commands(now) - before);
                    if call[1] == script.digests[1] {
                        script.note(&call, &expected.reply.unwrap_or(Value::Nil));
                    }
                }
            }
        }
    }
    // Otherwise the bodies would have left nearly all to the texts, and little would have been compared.
    let Tally { pushes, takes, ends, results } = tally;
    assert!(pushes > 1000 && takes > 500 && ends > 200 && results > 50, "{tally:?}");
}

/// Has random calls answered natively and by the texts; answers how many of each script were made, how many of them went
/// natively, and of exchanges how many of these wrote down what they took of limits.
fn compare(seeds: std::ops::Range<u64>, is_ruled: bool) -> ([usize; 6], [usize; 6], usize) {
    let (mut natives, mut calls, mut limited) = ([0_usize; 6], [0_usize; 6], 0);
    for seed in seeds {
        let mut now = Time::from_millis(1000);
        let (mut native, mut plain) = (Subject::new(true, now), Subject::new(false, now));
        let digests = native.load(now);
        assert_eq!(plain.load(now), digests);
        let mut laned = Laned::new(seed, digests.clone(), is_ruled);
        for step in 0..STEPS {
            now = Time::from_millis(now.millis() + laned.random.below(3) as u64);
            let call = laned.call();
            let before = native.commands(now);
            let [answer, expected] =
                [&mut native, &mut plain].map(|subject| subject.call(subject.worker, &call, now));
            assert_eq!(answer, expected, "seed {seed}, step {step}: {call:?}");
            if let Some(script) = digests.iter().position(|digest| *digest == call[1]) {
                // The script's call, and the look at the count.
                let is_native = native.commands(now) - before <= 2;
                calls[script] += 1;
                natives[script] += usize::from(is_native);
                let writes = |key: &str| expected.effects.contains(key);
                limited += usize::from(is_native && (writes("}:permits:") || writes("}:rate:")));
            }
            laned.note(&call, &expected.reply.unwrap_or(Value::Nil));
        }
    }
    (natives, calls, limited)
}

#[test]
fn lanes_and_unique_jobs_go_natively_as_the_texts_say() {
    let (natives, calls, _) = compare(LANED_SEEDS, false);
    // Otherwise the bodies would have left nearly all to the texts, and little would have been compared.
    let [_, _, exchanges, lanes, uniques, releases] = natives;
    assert!(
        exchanges > 400 && lanes > 400 && uniques > 80 && releases > 80,
        "{natives:?} of {calls:?} went natively"
    );
}

#[test]
fn caps_and_rates_go_natively_as_the_texts_say() {
    let (natives, calls, limited) = compare(RULED_SEEDS, true);
    assert!(
        natives[2] > 800 && limited > 250,
        "{natives:?} of {calls:?} went natively, {limited} with a limit"
    );
}

/// What was done by native bodies.
#[derive(Debug, Default)]
struct Tally {
    pushes: usize,
    takes: usize,
    ends: usize,
    results: usize,
}

impl Tally {
    fn count(&mut self, call: &[String], answer: &Answer, commands: u64) {
        // The script's call, and the look at the count. A text calls one command at least.
        if commands > 2 || answer.reply == Some(Value::QUEUED) {
            return;
        }
        let has = |name: &str| usize::from(answer.effects.contains(name));
        if call[2] == "2" {
            self.pushes += has("XADD");
        } else {
            self.takes += has("XCLAIM");
            self.ends += has("XACK");
            self.results += has("PEXPIREAT");
        }
    }
}
