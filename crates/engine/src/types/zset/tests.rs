//! The sorted set against a naive model, and what it costs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::Budget;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRange(usize, usize),
}

/// Few members and scores, so that steps meet; now and then a member that is too long for a small set.
fn step() -> impl Strategy<Value = Step> {
    let member = prop_oneof![
        40 => (0..400_u16).prop_map(|n| n.to_string().into_bytes()),
        1 => Just(vec![b'x'; SMALL_MEMBER_MAX + 1]),
    ];
    let score = prop_oneof![
        (-5..5_i8).prop_map(f64::from),
        any::<f64>().prop_filter("a number", |score| !score.is_nan()),
        Just(-0.0),
    ];
    prop_oneof![
        8 => (member.clone(), score).prop_map(|(member, score)| Step::Insert(member, score)),
        3 => member.prop_map(Step::Remove),
        1 => (0..300_usize, 0..8_usize).prop_map(|(from, count)| Step::RemoveRange(from, count)),
    ]
}

fn sorted(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(&[u8], f64)> {
    let mut pairs: Vec<_> = model.iter().map(|(member, score)| (&member[..], *score)).collect();
    pairs.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then(a.0.cmp(b.0)));
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_what_a_sorted_list_does(steps in prop::collection::vec(step(), 1..600)) {
        let (mut set, mut model) = (SortedSet::new(7), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(member, score) => {
                    prop_assert_eq!(set.insert(&member, score), model.get(&member).copied());
                    // An equal score leaves the one that is there, be it 0 or -0.
                    if model.get(&member) != Some(&score) {
                        model.insert(member, score);
                    }
                }
                Step::Remove(member) => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                Step::RemoveRange(from, count) => {
                    let gone: Vec<_> = sorted(&model).into_iter().skip(from).take(count)
                        .map(|(member, _)| member.to_vec()).collect();
                    set.remove_range(from..from + gone.len());
                    model.retain(|member, _| !gone.contains(member));
                }
            }
        }
        let pairs = sorted(&model);
        prop_assert_eq!(set.len(), pairs.len());
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), pairs.clone());
        prop_assert_eq!(set.iter().rev().collect::<Vec<_>>(), pairs.iter().rev().copied().collect::<Vec<_>>());
        for (rank, (member, score)) in pairs.iter().enumerate() {
            prop_assert_eq!(set.rank(member), Some(rank));
            prop_assert_eq!(set.score(member), Some(*score));
            let exactly = ScoreBound { score: *score, is_exclusive: false };
            prop_assert!(set.ranks_by_score(exactly, exactly).contains(&rank));
            let beyond = ScoreBound { score: *score, is_exclusive: true };
            prop_assert!(set.ranks_by_score(beyond, exactly).is_empty());
        }
        let (mut cursor, mut seen) = (0, BTreeMap::new());
        loop {
            cursor = set.scan(cursor, |member, score| { seen.insert(member.to_vec(), score); });
            if cursor == 0 { break }
        }
        prop_assert_eq!(seen, model);
    }
}

#[test]
fn ranges_by_member_follow_the_bytes() {
    let mut set = SortedSet::new(1);
    for member in ["a", "aa", "b", "c"] {
        set.insert(member.as_bytes(), 0.0);
    }
    for (min, max, ranks) in [
        (LexBound::First, LexBound::Last, 0..4),
        (LexBound::Inclusive(b"a"), LexBound::Exclusive(b"b"), 0..2),
        (LexBound::Exclusive(b"a"), LexBound::Inclusive(b"b"), 1..3),
        (LexBound::Inclusive(b"ab"), LexBound::Inclusive(b"z"), 2..4),
        (LexBound::Last, LexBound::First, 4..4),
        (LexBound::Inclusive(b"c"), LexBound::Inclusive(b"a"), 3..3),
    ] {
        assert_eq!(set.ranks_by_lex(min, max), ranks, "{min:?} {max:?}");
    }
}

#[test]
fn a_small_set_grows_out_of_its_form_by_length_and_by_member() {
    let mut set = SortedSet::new(1);
    for n in 0..SMALL_LEN_MAX {
        set.insert(n.to_string().as_bytes(), n as f64);
    }
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"one more", 0.0);
    assert_eq!(set.encoding(), "skiplist");
    let mut set = SortedSet::new(1);
    set.insert(&[b'x'; SMALL_MEMBER_MAX], 0.0);
    assert_eq!(set.encoding(), "listpack");
    set.insert(&[b'x'; SMALL_MEMBER_MAX + 1], 0.0);
    assert_eq!(set.encoding(), "skiplist");
    set.remove(&[b'x'; SMALL_MEMBER_MAX + 1]);
    assert_eq!(set.encoding(), "skiplist");
}

#[test]
fn its_memory_returns_when_its_members_go() {
    let mut set = SortedSet::new(1);
    for n in 0..20_000 {
        set.insert(format!("member {n} of a set, longer than in place").as_bytes(), f64::from(n));
    }
    assert!((60..130).contains(&(set.bytes() / set.len())), "{} bytes each", set.bytes() / set.len());
    let mut copy = set.clone();
    set.remove_range(0..19_990);
    assert!(set.bytes() < 100_000, "{} bytes", set.bytes());
    while !copy.free_some(&mut Budget::new(1_000)) {}
    assert_eq!(copy.own_blocks().1, 1, "the root of the tree is left of all blocks");
}

/// Prints what a set of a million members costs: `cargo test --release -p windlass-engine -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_a_million_members_cost() {
    const COUNT: u32 = 1_000_000;
    for (name, score) in [
        ("in order", (|n| f64::from(n)) as fn(u32) -> f64),
        ("scattered", |n| f64::from(n.wrapping_mul(2_654_435_761))),
        ("all the same", |_| 0.0),
    ] {
        let before = resident_bytes();
        let mut set = SortedSet::new(1);
        let time = |what: &str, step: &mut dyn FnMut(u32)| {
            let start = std::time::Instant::now();
            (0..COUNT).for_each(step);
            eprintln!("{name}: {what} {} ns", start.elapsed().as_nanos() / u128::from(COUNT));
        };
        let text = |n: u32| format!("member-{:019}", n.wrapping_mul(2_654_435_761)).into_bytes();
        time("text alone", &mut |n| {
            std::hint::black_box(text(n));
        });
        time("insert", &mut |n| {
            set.insert(&text(n), score(n));
        });
        let used = resident_bytes().saturating_sub(before);
        eprintln!("{name}: {} bytes each, counted {}", used / set.len(), set.bytes() / set.len());
        time("insert again", &mut |n| {
            set.insert(&text(n), score(n));
        });
        time("rank", &mut |n| {
            std::hint::black_box(set.rank(&text(n)));
        });
        time("first 10 from a score", &mut |n| {
            let bound = ScoreBound { score: score(n), is_exclusive: false };
            let start = set.ranks_by_score(bound, bound).start;
            std::hint::black_box(set.range(start..start + 10).map(|(member, _)| member.len()).sum::<usize>());
        });
        time("change", &mut |n| {
            set.insert(&text(n), score(n) + 1.5);
        });
        time("take the first", &mut |_| {
            set.remove_at(0);
        });
    }
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
