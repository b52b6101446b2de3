//! `windlass limit`: rules of queues, kinds and groups.

use serde_json::json;
use windlass::{Order, Rate, Rule, Target};

use super::{client, client_to_put, done};
use crate::args::{KeyOrder, LimitCommand, LimitSetArgs, RateForm};
use crate::exit::{Failure, Result, USAGE};
use crate::output;
use crate::settings::Store;

pub async fn run(command: LimitCommand, store: &Store) -> Result<()> {
    match command {
        LimitCommand::Ls => list(store).await,
        LimitCommand::Set(set) => {
            // Read before connecting: a typing mistake is to cost nothing.
            let (target, rule) = (parse(&set.target)?, rule_of(&set)?);
            if rule == Rule::new() {
                return Err(Failure::new(USAGE, anyhow::anyhow!("a rule says something, such as --cap 10")));
            }
            let client = client_to_put(store).await?;
            let had = client.limits().set(&target, rule).await?;
            let asking = client.inspector().queues().await?;
            let asking = asking.iter().filter(|queue| queue.asks_for_kinds && queue.is_ruled);
            let asking: Vec<_> = asking.map(|queue| queue.name.as_str()).collect();
            if !asking.is_empty() {
                let names = asking.join(", ");
                output::note(format_args!(
                    "warning: a queue with limits gives any job to any worker, also one that is to ask for kinds: {names}"
                ));
            }
            let what = if had { "has another rule now" } else { "has a rule now" };
            done(store, &format!("{target} {what}"), &json!({ "set": target.to_string(), "replaced": had }))
        }
        LimitCommand::Rm { target } => {
            let target = parse(&target)?;
            let had = client(store).await?.limits().remove(&target).await?;
            let what = if had { "has no rule now" } else { "had no rule" };
            done(
                store,
                &format!("{target} {what}"),
                &json!({ "removed": target.to_string(), "had_rule": had }),
            )
        }
        LimitCommand::Pause { kind } => {
            client_to_put(store).await?.limits().pause_kind(&kind).await?;
            done(store, &format!("{kind} is paused: no job of it is taken"), &json!({ "paused": kind }))
        }
        LimitCommand::Resume { kind } => {
            client(store).await?.limits().resume_kind(&kind).await?;
            done(store, &format!("{kind} goes on"), &json!({ "resumed": kind }))
        }
    }
}

async fn list(store: &Store) -> Result<()> {
    let rules = client(store).await?.limits().list().await?;
    if store.json {
        for (target, rule) in &rules {
            output::json(&json!({ "target": target.to_string(), "rule": rule }))?;
        }
        return Ok(());
    }
    if rules.is_empty() {
        output::line(format_args!("no rules in the namespace {} of {}", store.namespace, store.shown()))?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for (target, rule) in &rules {
        rows.push([target.to_string(), serde_json::to_string(rule).map_err(anyhow::Error::from)?]);
    }
    output::table(["target", "rule"], &rows)
}

fn parse(target: &str) -> Result<Target> {
    target.parse().map_err(|error: windlass::Error| Failure::new(USAGE, error))
}

fn rule_of(set: &LimitSetArgs) -> Result<Rule> {
    let mut rule = Rule::new();
    (rule.cap, rule.weight, rule.max_jobs) = (set.cap, set.weight, set.max_jobs);
    rule.max_bytes = set.max_bytes.map(|max| max as u64);
    if let Some((jobs, time)) = set.rate {
        let mut rate = match set.form {
            RateForm::Window => Rate::window(jobs, time),
            RateForm::Sliding => Rate::sliding(jobs, time),
            RateForm::Bucket => Rate::bucket(jobs, time),
        };
        if set.burst.is_some() && set.form != RateForm::Bucket {
            return Err(Failure::new(
                USAGE,
                anyhow::anyhow!("--burst is for rates that are a bucket: add --form bucket"),
            ));
        }
        rate.burst = set.burst;
        rule = rule.rate(rate);
    }
    rule.order = set.order.map(|order| match order {
        KeyOrder::Wait => Order::Wait,
        KeyOrder::Skip => Order::Skip,
    });
    if let (Some(failures), Some(window), Some(cooldown)) = (set.breaker, set.window, set.cooldown) {
        rule = rule.breaker(failures, window, cooldown);
    }
    Ok(rule)
}
