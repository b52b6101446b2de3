//! What the job library promises, as cases that run on any store.
//!
//! A case is an `async fn` that takes a [`Store`], named as a sentence; it asserts, and returns when all is
//! well. A new case is a function and its line in [`CASES`]. Cases share a server but each has a namespace
//! of its own, so that they may run at once.

mod act;
mod batch;
mod bulk;
mod capsule;
mod chain;
mod compact;
mod control;
mod count;
mod cron;
mod event;
mod fit;
mod garbage;
mod group;
mod kinds;
mod lane;
mod lease;
mod limit;
mod middleware;
mod moves;
mod nesting;
mod order;
mod outcomes;
mod process;
mod program;
mod progress;
mod rate;
mod ready;
mod recovery;
mod regain;
mod results;
mod retention;
mod retries;
mod signals;
mod states;
mod tag;
mod time;
mod timeout;
mod told;
mod unique;
mod watch;
mod working;
mod world;

use std::pin::Pin;

pub use process::be_a_worker_if_asked;
pub use world::{Store, World};

/// A case that is running. It stays on the thread that began it.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The sentence that it shows.
    pub name: &'static str,
    /// Runs it.
    pub run: for<'a> fn(&'a Store) -> Running<'a>,
}

macro_rules! cases {
    ($($family:ident: $($name:ident)+;)+) => {
        &[$($(Case { name: stringify!($name), run: |store| Box::pin($family::$name(store)) }),+),+]
    };
}

/// Every case.
pub const CASES: &[Case] = cases! {
    moves:
        what_is_pushed_is_taken_once_and_ends
        two_takers_never_get_the_same_job
        a_late_completion_is_refused
        a_late_failure_is_refused
        a_lost_lease_is_not_renewed
        strict_order_holds_across_queues
        a_paused_queue_gives_nothing
        a_scheduled_job_is_never_early
        a_failed_job_keeps_its_bytes_and_its_id
        an_enqueue_key_makes_a_push_idempotent
        a_job_that_a_worker_has_cannot_be_removed
        what_waits_for_its_time_is_put_back_by_filter
        a_large_batch_is_fenced_job_by_job
        large_jobs_are_taken_under_a_budget_of_bytes
        leftover_work_wakes_the_next_taker
        a_fetch_without_room_leaves_the_mark_that_brought_it
        a_store_that_forgot_the_scripts_is_told_them
        a_push_hangs_on_no_other;
    fit:
        a_namespace_of_another_layout_is_refused_with_what_to_do
        a_namespace_of_something_else_is_refused_with_what_to_do;
    lane:
        jobs_come_by_priority_and_then_by_their_pushes
        a_job_in_a_lane_is_found_by_its_id
        a_job_goes_back_to_its_lane_from_everywhere
        a_taken_job_of_a_lane_is_recovered
        groups_take_turns
        leaving_and_coming_back_gains_nothing
        a_thousand_groups_are_served_in_turn;
    limit:
        a_queue_is_capped_over_all_workers
        a_kind_is_capped_in_all_queues
        each_group_has_its_own_cap
        a_changed_cap_holds_for_what_waits
        a_paused_kind_is_not_taken
        a_job_whose_entry_is_gone_holds_no_limit
        a_rule_of_a_kind_holds_for_queues_that_come_later
        a_rule_that_is_set_leaves_a_pause
        the_next_of_a_group_waits_for_a_retry
        others_of_a_group_go_on_when_told_so
        weights_share_out_the_turns
        what_is_limited_is_not_taken_ahead
        a_full_queue_refuses_by_name
        a_full_queue_refuses_every_new_job
        a_queue_is_full_by_bytes
        rules_that_cannot_be_meant_are_refused
        jobs_of_chains_and_batches_wait_in_lanes
        workers_keep_a_cap_and_run_everything
        an_idle_worker_comes_when_a_rate_allows;
    regain:
        what_comes_back_heeds_a_cap_that_is_new
        what_comes_back_heeds_a_cap_that_is_lower
        what_comes_back_heeds_a_rate
        what_comes_back_waits_for_a_breaker
        what_comes_back_keeps_the_order_of_its_key
        a_place_outlives_the_order_that_gave_it
        suspects_of_a_paused_kind_hide_no_others;
    bulk:
        a_bulk_load_is_spread_evenly
        unique_and_watched_jobs_are_spread_as_well
        a_spread_that_cannot_be_meant_is_refused
        a_bulk_load_is_refused_whole_or_says_how_far_it_came;
    tag:
        a_job_reads_its_tags_and_whoever_looks_sees_them
        what_is_too_much_beside_the_arguments_is_refused_by_name;
    watch:
        a_middleware_sees_each_job_of_a_batch
        a_middleware_stops_batches_and_chains_whole
        a_middleware_sees_each_job_of_a_chain
        a_middleware_sees_what_cron_pushes;
    kinds:
        workers_of_a_queue_run_only_the_kinds_that_they_know
        a_version_of_a_kind_goes_to_who_knows_it
        what_is_handed_over_is_for_its_kind_alone;
    compact:
        a_compaction_leaves_every_hold_as_it_is
        a_compaction_leaves_lanes_and_limits_as_they_are
        a_compaction_leaves_what_was_handed_over_to_its_kind
        what_is_pending_without_a_job_goes_with_a_compaction
        a_stream_that_is_not_ours_alone_is_left_as_it_is
        slow_jobs_do_not_keep_the_memory_of_their_neighbours;
    recovery:
        a_job_that_had_not_begun_gets_its_count_back
        suspects_run_one_at_a_time
        one_fetch_takes_one_suspect_over_all_queues
        only_the_running_suspect_is_blamed_and_dies_in_the_end
        whoever_waits_for_a_quarantined_job_is_told
        released_jobs_are_taken_first_and_uncounted
        a_worker_that_leaves_gives_back_what_it_never_knew
        of_very_many_jobs_only_those_that_had_begun_are_suspects;
    garbage:
        a_job_whose_history_is_garbage_dies_of_its_crashes_and_is_kept
        a_job_in_its_queue_is_managed_whatever_its_history_is
        a_stored_job_is_managed_whatever_its_record_is
        garbage_among_the_dead_is_listed_and_put_back
        garbage_holds_up_no_service
        garbage_in_a_lane_is_taken
        a_batch_counts_a_job_whose_history_is_garbage;
    control:
        a_job_that_does_not_run_is_cancelled_in_any_state
        a_cancelled_job_can_be_tried_again
        the_token_of_a_cancelled_job_fires_and_its_failure_is_final
        a_blocking_job_sees_that_it_is_cancelled
        a_job_that_succeeds_in_spite_of_its_cancel_is_completed
        a_cancelled_job_that_a_worker_has_not_begun_does_not_run
        a_cancel_reaches_whoever_takes_over_from_a_dead_worker
        whoever_waits_for_a_cancelled_job_is_told
        whoever_waits_for_a_removed_job_is_told
        a_job_that_is_put_back_has_the_result_of_its_last_end
        only_a_job_that_does_not_run_is_killed
        a_job_is_rescheduled_in_any_state
        an_edited_job_runs_with_its_new_arguments
        more_than_the_arguments_can_be_edited
        an_edit_that_does_not_fit_is_refused
        an_edit_does_not_overwrite_another
        the_dead_are_put_back_by_filter
        a_queue_without_jobs_is_forgotten_when_told_so;
    states:
        a_service_makes_of_a_job_what_the_table_says
        a_worker_makes_of_a_job_what_the_table_says
        a_hand_makes_of_a_job_what_the_table_says;
    order:
        weighted_queues_share_and_strict_ones_come_first;
    unique:
        an_equal_job_is_kept_out_until_the_first_is_done
        an_equal_job_is_kept_out_until_the_first_has_started
        a_second_push_is_refused_when_told_so
        a_waiting_job_is_replaced_under_its_id
        jobs_are_unique_by_fields_or_by_a_key
        many_unique_jobs_are_pushed_at_once
        equal_pushes_at_once_make_one_job
        a_job_that_ended_in_any_way_keeps_nobody_out
        a_job_that_is_to_be_retried_keeps_equal_ones_out
        a_lock_is_forgotten_with_its_job
        a_lock_is_forgotten_in_the_step_that_ends_its_job
        a_debounced_job_runs_once_with_the_last_arguments
        a_job_that_is_put_back_is_the_one_that_is_there
        of_equal_jobs_that_ended_one_is_put_back
        a_push_of_many_unique_jobs_says_what_became_of_each
        a_debounced_push_beside_a_running_job_is_another;
    outcomes:
        a_failing_job_is_retried_and_dies
        a_failed_attempt_tells_when_and_how_long_and_whose
        a_dead_job_can_be_tried_again
        a_snooze_is_not_an_attempt
        kill_discard_and_cancel_end_where_they_say
        a_panic_is_a_failed_attempt
        a_job_that_takes_too_long_has_failed
        an_expired_job_is_discarded
        garbage_dies_with_a_reason_and_the_worker_lives
        arguments_of_the_wrong_shape_fail
        an_unknown_kind_is_parked_until_somebody_knows_it
        a_later_version_of_a_kind_is_parked_until_somebody_knows_it;
    retries:
        a_policy_chooses_by_the_kind_of_error
        a_handlers_word_goes_before_the_policy
        a_list_says_each_wait_in_turn
        a_policy_that_panics_is_replaced_by_the_default;
    retention:
        a_queue_keeps_its_own_number
        what_jobs_of_others_hide_is_dropped_later
        a_queue_is_held_to_bytes
        a_queue_may_keep_more_than_others
        every_way_out_of_an_end_is_counted
        what_dies_of_its_crashes_is_bounded
        what_is_ended_by_hand_drops_nothing;
    progress:
        what_a_job_tells_comes_as_it_is_told
        a_running_job_tells_how_far_it_is
        a_log_keeps_its_last_lines_and_the_progress
        a_worker_that_lost_the_job_tells_nothing;
    process:
        a_killed_process_loses_nothing
        a_program_ends_with_its_worker;
    signals:
        a_signal_drains
        what_does_not_end_in_time_is_given_back_uncounted
        a_second_signal_forces
        a_signal_that_is_sent_twice_counts_once
        a_quieted_process_stays_and_then_ends
        the_pid_file_is_there_while_the_worker_runs
        a_pid_file_that_cannot_be_written_is_an_error;
    results:
        a_result_reaches_all_who_wait
        an_empty_result_is_a_result
        a_failure_reaches_those_who_wait
        a_job_without_result_says_so
        an_early_result_is_kept
        a_result_that_cannot_be_kept_ends_its_job_with_the_reason;
    working:
        identical_payloads_both_run
        many_jobs_all_run
        concurrent_pushes_each_get_their_own_id
        an_idle_worker_is_woken
        no_more_is_taken_than_can_run
        running_jobs_may_end_when_the_worker_stops
        a_forced_stop_gives_jobs_back_at_once
        a_quiet_worker_takes_nothing
        blocking_jobs_run_on_their_own_threads
        delayed_jobs_run_and_leave_nothing_behind
        names_and_sizes_are_checked
        what_is_nested_too_deeply_is_refused
        the_inspector_lists_every_state;
    chain:
        a_chain_passes_results_on
        a_chain_may_lead_through_other_queues_and_keep_results
        a_chain_that_fails_takes_its_error_branch_once
        a_chain_job_that_dies_twice_is_caught_once
        a_step_of_a_chain_happens_once_whoever_dies
        the_error_branch_comes_with_every_kind_of_end
        what_cannot_follow_is_refused;
    batch:
        callbacks_of_a_batch_fire_once_each
        a_batch_without_jobs_completes_at_its_closing
        a_batch_outlives_whoever_opened_it
        a_batch_can_grow_while_it_runs
        a_large_batch_fires_its_callbacks_once_under_many_workers
        a_batch_waits_for_chains_in_it
        a_hundred_items_are_ten_jobs_in_one_call
        a_batch_whose_push_stops_does_not_stay_open
        a_batch_with_a_key_is_made_once;
    count:
        a_job_of_a_batch_counts_once_whoever_dies
        every_way_to_end_counts_in_a_batch
        ends_and_returns_by_hand_count_in_a_batch
        an_envelope_that_cannot_be_read_counts_in_its_batch
        whatever_happens_to_its_jobs_a_batch_counts_them_and_calls_back_once;
    nesting:
        a_nested_batch_holds_its_parent_open
        a_nested_batch_that_was_left_open_is_closed_with_its_job
        a_cancelled_batch_begins_nothing_more
        cancelling_a_batch_ends_what_waits_and_stops_what_runs
        cancelling_reaches_nested_batches_and_nesting_has_a_bound;
    group:
        a_group_keeps_results_in_order
        an_empty_group_still_calls_back
        a_failed_group_calls_back_by_its_policy
        the_results_of_a_group_have_a_bound
        a_group_that_is_too_large_is_refused_whole;
    cron:
        every_cron_entry_is_listed
        a_job_run_by_hand_is_pushed_at_once
        an_entry_that_cannot_be_used_is_refused
        an_entry_of_every_second_runs_in_time;
    middleware:
        run_middleware_stands_around_a_job_in_order
        run_middleware_may_change_and_replace_an_outcome
        push_middleware_changes_and_stops_pushes
        state_is_shared_by_its_type;
    capsule:
        a_capsule_has_slots_of_its_own
        the_capsules_of_a_process_run_one_suspect_at_a_time
        pools_that_feed_each_other_stop_when_all_are_empty
        an_elastic_pool_grows_and_keeps_its_floor
        settings_of_capsules_are_checked;
    told:
        what_follows_from_a_job_is_told
        what_cron_pushes_is_told
        what_is_put_back_by_hand_is_told
        moves_of_others_are_recorded_where_workers_record
        a_limit_that_holds_jobs_up_is_told_once;
    event:
        what_is_ended_by_hand_is_told
        a_push_that_a_full_queue_refuses_is_told
        a_job_that_dies_with_its_last_process_is_told
        a_lost_lease_is_told_with_the_job
        every_step_of_a_job_is_told
        a_worker_whose_last_job_failed_takes_more
        bulk_pushes_are_told_of_one_by_one
        events_are_recorded_in_the_store_on_request;
    timeout:
        a_soft_timeout_lets_a_job_clean_up
        a_job_that_heeds_no_soft_timeout_is_cut_short_by_the_hard_one;
    ready:
        a_worker_is_ready_while_it_takes_jobs
        systemd_hears_of_start_life_and_stop
        a_worker_whose_process_is_too_large_ends_its_jobs_and_stops;
    program:
        a_program_gets_its_arguments_and_answers
        the_end_of_a_program_says_what_becomes_of_its_job
        a_program_is_stopped_with_its_whole_group
        a_program_is_held_to_its_limits
        what_a_program_leaves_behind_ends_with_it;
};

/// The cases that move the store's time: each has a store [by a clock](Store::by_clock) for itself.
pub const TIME_CASES: &[Case] = cases! {
    lease:
        a_lease_ends_with_its_time
        a_renewed_lease_runs_on
        what_a_dead_worker_held_is_never_lost
        a_lost_fetch_reply_of_a_living_worker_comes_back
        a_worker_resumes_what_a_dead_one_began
        renewal_keeps_a_long_job
        a_job_that_blocks_its_runtime_keeps_its_lease;
    compact:
        a_compaction_neither_ends_a_lease_nor_renews_it;
    cron:
        a_cron_entry_is_never_early
        many_instances_fire_once
        three_workers_fire_once
        a_seen_entry_is_left_to_whoever_comes_next
        missed_times_are_made_up_as_the_policy_says
        many_missed_times_are_made_up_in_order
        an_overlap_is_left_out
        a_pause_pushes_nothing_and_makes_nothing_up
        a_changed_entry_goes_on_or_begins_anew
        a_removed_entry_pushes_nothing
        jitter_is_waited_for
        an_unusable_entry_holds_nothing_up
        an_entry_in_code_survives_its_worker;
    rate:
        a_window_lets_in_so_many
        a_sliding_window_remembers_the_last_one
        a_bucket_fills_evenly
        a_changed_rate_holds_at_once
        a_breaker_stops_a_failing_kind
        a_breaker_whose_try_is_taken_away_tries_another
        a_breaker_counts_jobs_that_end_their_processes;
    time:
        a_delayed_job_is_due_by_the_stores_clock
        a_retry_waits_for_its_time
        an_expired_job_is_discarded_by_the_stores_clock
        a_job_that_has_begun_does_not_expire
        a_key_is_forgotten_after_its_time
        a_result_is_forgotten_after_its_time
        the_dead_are_kept_for_their_time
        a_silent_worker_leaves_the_list
        a_worker_that_took_something_within_a_lease_lives
        a_parked_job_dies_after_its_day
        whoever_waits_for_a_job_that_dies_parked_is_told
        a_parked_job_is_woken_before_its_day_has_passed;
    retention:
        each_queue_and_state_has_its_own_age;
    kinds:
        what_was_handed_over_comes_back_when_nobody_knows_it_any_more;
    batch:
        an_ended_batch_is_forgotten_after_its_time;
    count:
        a_parked_job_that_dies_counts_in_its_batch;
    control:
        a_cancel_is_remembered_while_its_job_waits;
    nesting:
        a_nested_batch_that_nobody_closes_is_closed_after_its_time;
    unique:
        a_window_of_uniqueness_ends_with_its_time
        a_lock_lasts_beyond_the_time_of_its_job
        a_lock_lasts_until_a_later_time_that_is_set_by_hand;
};
