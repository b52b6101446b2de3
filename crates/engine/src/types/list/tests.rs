use proptest::prelude::*;

use super::block::TEXT_MAX;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Push(bool, u8, bool),
    Pop(bool),
    Set(usize, u8, bool),
    Insert(usize, u8, bool),
    Remove(u8, bool, usize),
    Keep(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let item = (0..6_u8, prop::bool::weighted(0.03));
    prop_oneof![
        30 => (any::<bool>(), item.clone()).prop_map(|(left, (n, big))| Step::Push(left, n, big)),
        8 => any::<bool>().prop_map(Step::Pop),
        8 => (any::<usize>(), item.clone()).prop_map(|(at, (n, big))| Step::Set(at, n, big)),
        20 => (any::<usize>(), item).prop_map(|(at, (n, big))| Step::Insert(at, n, big)),
        3 => (0..6_u8, any::<bool>(), 1..60_usize).prop_map(|(n, left, max)| Step::Remove(n, left, max)),
        1 => (0..20_usize, 0..900_usize).prop_map(|(start, count)| Step::Keep(start, count)),
    ]
}

/// A small item, or one that nearly fills a block.
fn item(number: u8, is_big: bool) -> Vec<u8> {
    vec![b'a' + number; if is_big { 3000 + usize::from(number) * 1000 } else { usize::from(number) * 10 }]
}

fn end(is_left: bool) -> End {
    if is_left { End::Left } else { End::Right }
}

fn check(list: &List, model: &VecDeque<Vec<u8>>) {
    assert_eq!(list.len(), model.len());
    assert!(list.iter().eq(model.iter().map(|item| &item[..])));
    assert!(list.iter().rev().eq(model.iter().rev().map(|item| &item[..])));
    assert_eq!(list.bytes, list.blocks.iter().map(|block| block.bytes()).sum::<usize>());
    for block in &list.blocks {
        let length: usize = block.iter().map(<[u8]>::len).sum();
        assert!(block.len() > 0 && (length <= TEXT_MAX || block.len() == 1));
    }
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, step: Step) {
    match step {
        Step::Push(left, number, big) => {
            let item = item(number, big);
            list.push(end(left), &item);
            if left { model.push_front(item) } else { model.push_back(item) }
        }
        Step::Pop(left) => {
            let popped = if left { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.pop(end(left)).map(|item| item.to_vec()), popped);
        }
        Step::Set(at, number, big) if !model.is_empty() => {
            let (at, item) = (at % model.len(), item(number, big));
            list.set(at, &item);
            model[at] = item;
            assert_eq!(list.get(at), Some(&model[at][..]));
        }
        Step::Set(..) => assert_eq!(list.get(0), None),
        Step::Insert(at, number, big) => {
            let (at, item) = (at % (model.len() + 1), item(number, big));
            list.insert(at, &item);
            model.insert(at, item);
        }
        Step::Remove(number, left, max) => {
            let value = item(number, false);
            let mut places: Vec<usize> = (0..model.len()).filter(|at| model[*at] == value).collect();
            if !left {
                places.reverse();
            }
            places.truncate(max);
            assert_eq!(list.remove(&value, end(left), max), places.len());
            places.sort_unstable();
            for place in places.into_iter().rev() {
                model.remove(place);
            }
        }
        Step::Keep(start, count) => {
            let kept: VecDeque<Vec<u8>> = model.iter().skip(start).take(count).cloned().collect();
            assert_eq!(list.keep(start, count), model.len() - kept.len());
            *model = kept;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_list_does_what_a_deque_does(steps in prop::collection::vec(step(), 0..700)) {
        let (mut list, mut model) = (List::new(0), VecDeque::new());
        for step in steps {
            apply(&mut list, &mut model, step);
            assert_eq!(list.len(), model.len());
        }
        check(&list, &model);
        for start in [0, 1, model.len() / 2, model.len()] {
            let range = list.range(start, 150);
            assert!(range.eq(model.iter().skip(start).take(150).map(|item| &item[..])));
        }
    }
}

#[test]
fn removing_nearly_everything_leaves_few_blocks() {
    let mut list = List::new(0);
    for number in 0..10_000 {
        list.push(End::Right, if number % 100 == 0 { b"stay" } else { b"gone" });
    }
    assert_eq!(list.remove(b"gone", End::Right, usize::MAX), 9_900);
    assert_eq!(list.len(), 100);
    assert!(list.blocks.len() <= 4, "{} blocks", list.blocks.len());
}
