/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ownership of one single-mounted volume, as a model for spin: README.md
 * says what it covers. Each step names the C function that does it.
 *
 *   N        nodes: 3, or 2 and a third vote
 *   FAULTS   how many happen      MOVES   planned moves
 *   RETURNS  how often a node without power comes back
 *   PROGRESS is there progress? (else: is it safe?)
 *   M_*      one rule taken away: each must give a counterexample
 */
#ifndef N
#define N 3
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef RETURNS
#define RETURNS 2
#endif
#define NONE N			/* CSVD_NO_NODE */
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define COUNT(s) (HAS(s, 0) + HAS(s, 1) + HAS(s, 2))

/* ---- The world */
byte faults = FAULTS, moves = MOVES, returns = RETURNS;
byte cut = NONE;	/* the node whose cluster network is cut off */
byte banned = NONE;	/* banned, stopped, or without ctdbd */
#if N == 2
byte far = NONE;	/* the node that does not reach the third vote */
byte note[N];	/* on the third vote: the highest number each node noted */
#endif

/* ---- CTDB: membership, cluster lock, one persistent database, g_lock */
byte lock;		/* who holds the cluster lock, and so leads */
byte view[N];		/* node map: who is active */
byte vnn[N];		/* who was in the last recovery */
bit settled[N];		/* that recovery was with this node map */
byte glock = NONE;	/* of transactions; volatile */
byte seq[N];		/* sequence number of the copy on each node */
byte ep[N], own[N];	/* the owner record in that copy */
bit clean[N];
bit same[N];		/* its incarnation is the owner's present one */

/* ---- csvd's worker */
#define OFF 0		/* the node has no power */
#define DEAD 1		/* no worker */
#define BOOT 2		/* csvd_context_create() */
#define IDLE 3		/* CSVD_IDLE */
#define TX 4		/* stopped between the transaction's start and commit */
#define WAIT 5		/* TRANS3_COMMIT is answered after the recovery */
#define TAKEN 6		/* CSVD_TAKING: the record is written, not confirmed */
#define STARTING 7	/* CSVD_TAKING: the agent runs */
#define OWNER 8		/* CSVD_OWNER */
#define STOPPING 9	/* CSVD_RELEASING, CSVD_STUCK */
byte st[N];
byte vep[N];		/* v->rec->epoch as judged; of an owner: v->epoch */
bit proven[N];		/* v->proven_epoch is that of the record */
#define TAKE 1		/* what a transaction is for: take_record() */
#define CONFIRM 2	/* take_confirm() */
#define RELEASE 3	/* csvd_release_record() */
byte kind[N], tseq[N];	/* in TX and WAIT */
#define F_RUNS 1	/* the fence agent that a node runs */
#define F_DONE 2	/* has done it, but not told yet */
byte fence[N], fnode[N], fep[N];
#ifdef M_RESUMED
bit resumed[N];		/* v->resumed, as it was: never reset */
#endif

/* ---- Storage and guard */
#define LIVE 1
#define SHUTTING 2	/* shut down, but a write is still on its way */
#define SHUT 3
byte mnt[N];
bit agent[N];		/* the start of ocf:heartbeat:Filesystem runs */
byte gep[N];		/* guard: the ownership that it knows */
bit gdown[N];		/* guard: "shut down, epoch gep" */

/* ---- For the assertions: the highest epoch that storage ran under */
byte top = 1;

#define UP(i) (st[i] != OFF)
#define ACTIVE(i) HAS(view[i], i)	/* csvd->active */
#define MINE(i) (own[i] == (i) && !clean[i])
#define LINK(i, j) (UP(i) && UP(j) && banned != (i) && banned != (j) && \
		    ((i) == (j) || (cut != (i) && cut != (j))))
#define ONE(i, j) (LINK(i, j) -> BIT(j) : 0)
#if N == 2
#define REACH(i) (ONE(i, 0) | ONE(i, 1))
#define THIRD(i) (far != (i))
#define VOTES(i) (LINK(i, i) && (COUNT(REACH(i)) == 2 || THIRD(i)))
/* alone: only with the third vote in hand */
#define QUORATE(i) (COUNT(view[i]) == 2 || (lock == (i) && THIRD(i)))
/* alone: csvd_note_newest(), the other has noted nothing newer ... */
#define NEWEST(i) (note[1 - (i)] <= seq[i])
/* ... and csvd_note_ready(): this many commits are noted */
#ifdef M_NO_TAG
#define NOTED(i, n) true
#define KNOWS(i) true
#else
#define NOTED(i, n) (COUNT(view[i]) == 2 || note[i] >= seq[i] + (n))
#define KNOWS(i) (COUNT(view[i]) == 2 || (THIRD(i) && NEWEST(i)))
#endif
#else
#define NOTED(i, n) true
#define KNOWS(i) true
#define REACH(i) (ONE(i, 0) | ONE(i, 1) | ONE(i, 2))
#define VOTES(i) (COUNT(REACH(i)) * 2 > N)
#define QUORATE(i) (COUNT(view[i]) * 2 > N)	/* csvd_members_majority() */
#endif
#define STILL_MINE(i) (MINE(i) && same[i] && ep[i] == vep[i])
#ifdef M_MINORITY
#define MAY(i) true
#elif defined M_UNSETTLED
#define MAY(i) QUORATE(i)
#else
#define MAY(i) (settled[i] && QUORATE(i))
#endif

inline forget_tx(i)
{
	kind[i] = 0;
	tseq[i] = 0;
	if
	:: glock == i -> glock = NONE
	:: else
	fi
}

inline forget_fence(i)
{
	fence[i] = 0;
	fnode[i] = 0;
	fep[i] = 0
}

inline worker_dies(i)
{
	st[i] = DEAD;
	vep[i] = 0;
	proven[i] = 0;
	forget_tx(i);
	forget_fence(i);
#ifdef M_RESUMED
	resumed[i] = 0
#else
	skip
#endif
}

#define OTHER_BOOT(k, i) same[k] = (own[k] == (i) -> 0 : same[k])

inline power_off(i)
{
	worker_dies(i);
	st[i] = OFF;
	view[i] = 0;
	vnn[i] = 0;
	settled[i] = 0;
	mnt[i] = 0;
	agent[i] = 0;
	gep[i] = 0;
	gdown[i] = 0;
	banned = (banned == i -> NONE : banned);
	OTHER_BOOT(0, i);
	OTHER_BOOT(1, i);
#if N > 2
	OTHER_BOOT(2, i)
#endif
}

inline power_off_any(n)
{
	if
	:: n == 0 && UP(0) -> power_off(0)
	:: n == 1 && UP(1) -> power_off(1)
#if N > 2
	:: n == 2 && UP(2) -> power_off(2)
#endif
	:: else
	fi
}

/* ---- CTDB */

inline copy_record(from, to)
{
	proven[to] = (ep[to] == ep[from] -> proven[to] : 0);
	seq[to] = seq[from];
	ep[to] = ep[from];
	own[to] = own[from];
	clean[to] = clean[from];
	same[to] = same[from]
}

/* What everybody has is as good as no note: fewer states. */
#if N == 2
#define OLD(k) (note[k] <= seq[0] && note[k] <= seq[1])
inline old_notes()
{
	note[0] = (OLD(0) -> 0 : note[0]);
	note[1] = (OLD(1) -> 0 : note[1])
}
#else
#define old_notes() skip
#endif

inline recovered(k)
{
	if
	:: HAS(set, k) ->
		copy_record(best, k);
		view[k] = set;
		vnn[k] = set;
		settled[k] = 1
	:: else
	fi
}

#define BETTER(k) (HAS(set, k) && (best == NONE || seq[k] > seq[best]))

/*
 * ctdb_recovery_helper: of the copies the highest sequence number wins, of
 * equal ones the lowest node's. g_lock may be rolled back by it.
 */
inline recover()
{
	set = REACH(lock);
	best = NONE;
	best = (BETTER(0) -> 0 : best);
	best = (BETTER(1) -> 1 : best);
#if N > 2
	best = (BETTER(2) -> 2 : best);
#endif
	recovered(0);
	recovered(1);
#if N > 2
	recovered(2);
#endif
	old_notes();
	set = 0;
	best = 0
}

/* Whoever is in the leader's part and not in its last recovery */
#define NEEDS(k) (HAS(REACH(lock), k) && \
		  (!settled[k] || view[k] != REACH(lock)))
#if N == 2
#define NEEDED (NEEDS(0) || NEEDS(1))
#else
#define NEEDED (NEEDS(0) || NEEDS(1) || NEEDS(2))
#endif
#define UNNOTICED(i) (UP(i) && view[i] != REACH(i))

inline notice(i)
{
	view[i] = REACH(i);
	settled[i] = 0
}

proctype Ctdb()
{
	byte best = 0, set = 0;

end:	do
	/* members_changed(): the node map changes before the recovery */
	:: d_step { UNNOTICED(0) -> notice(0) }
	:: d_step { UNNOTICED(1) -> notice(1) }
#if N > 2
	:: d_step { UNNOTICED(2) -> notice(2) }
#endif
	/* the votes of an isolated holder run out, sooner or later */
	:: d_step { lock != NONE && !VOTES(lock) -> lock = NONE }
	:: d_step { lock == NONE && VOTES(0) -> lock = 0 }
	:: d_step { lock == NONE && VOTES(1) -> lock = 1 }
#if N > 2
	:: d_step { lock == NONE && VOTES(2) -> lock = 2 }
#endif
	/* an isolated holder too, as long as it has the lock */
	:: d_step { lock != NONE && LINK(lock, lock) && NEEDED -> recover() }
	/* ... and the g_lock of a transaction is lost by it */
	:: d_step { glock != NONE -> glock = NONE }
	od
}

/* ---- csvd */

inline start_agent(i)
{
	/* the guard first: it must not say "nothing here" meanwhile */
	gep[i] = vep[i];
	gdown[i] = 0;
	agent[i] = 1;
	st[i] = STARTING
}

/* The record is written; or dbwrap believes so. */
inline written(i)
{
	if
	:: kind[i] == TAKE ->
#ifndef M_SAME_EPOCH
		vep[i]++;
#endif
		forget_tx(i);
#ifdef M_ONE_COMMIT
		start_agent(i)
#else
		st[i] = TAKEN
#endif
	:: kind[i] == CONFIRM ->
		forget_tx(i);
		if
		:: MAY(i) && STILL_MINE(i) -> start_agent(i)
		/* owner_back() looks after it */
		:: else -> vep[i] = 0; st[i] = IDLE
		fi
	:: else ->
		forget_tx(i);
		vep[i] = 0;
		st[i] = IDLE
	fi
}

#ifdef M_SAME_EPOCH
#define NEW_EPOCH(i) vep[i]
#else
#define NEW_EPOCH(i) (kind[i] == TAKE -> vep[i] + 1 : vep[i])
#endif

/* ctdb_persistent_store(): not over a record that is as new. */
inline store(i, k)
{
	if
	:: !HAS(set, k)
	:: HAS(set, k) && seq[k] > tseq[i] -> good = 0
	:: else ->
		seq[k] = tseq[i] + 1;
		own[k] = (kind[i] == RELEASE -> NONE : i);
		clean[k] = (kind[i] == RELEASE);
		same[k] = (kind[i] != RELEASE);
		proven[k] = (ep[k] == NEW_EPOCH(i) -> proven[k] : 0);
		ep[k] = NEW_EPOCH(i)
	fi
}

#define TARGETS(i) (view[i] & vnn[i])

/*
 * ctdb_control_trans3_commit(): UPDATE_RECORD to all that are active. Where
 * some do not answer, the rest is up to the next recovery.
 */
inline commit(i)
{
	good = (set == TARGETS(i));
	store(i, 0);
	store(i, 1);
#if N > 2
	store(i, 2);
#endif
	if
	:: good -> written(i)
	:: else -> st[i] = WAIT; settled[i] = 0
	fi;
	old_notes();
	good = 0;
	set = 0
}

/* dbwrap_transaction_start() and the comparison of record_change_fn() */
inline begin(i, what)
{
	kind[i] = what;
	tseq[i] = seq[i];
	vep[i] = ep[i]
}

/* The whole transaction at once, or stopped in its midst. */
inline transaction(i, what)
{
	begin(i, what);
	set = TARGETS(i) & REACH(i);
	commit(i)
}

#define CAN_LOCK(i) (glock == NONE || !HAS(view[i], glock))
#define OWNER_DEAD(i) (own[i] != NONE && !HAS(view[i], own[i]))
#define PROOF(i) (clean[i] || proven[i])
#ifdef M_NO_FENCE
#define TAKES(i) (PROOF(i) || OWNER_DEAD(i))
#else
#ifdef M_GLOCK
/* "I got the lock that owners hold, so there is none" */
#define TAKES(i) (PROOF(i) || (OWNER_DEAD(i) && CAN_LOCK(i)))
#else
#define TAKES(i) PROOF(i)
#endif
#endif
#ifdef M_RESUMED
#define RESUMES(i) (!resumed[i])
#define RESUMED(i) resumed[i] = 1
#else
#define RESUMES(i) true
#define RESUMED(i) skip
#endif
#ifdef M_NOTE_BLIND
#define NOTES(i) true
#else
#define NOTES(i) NEWEST(i)
#endif
/* owner_back(): named by the record, but does not serve */
#define BACK(i) (st[i] == IDLE && ACTIVE(i) && MINE(i))
/* owner_not_here() */
#define FREE(i) (st[i] == IDLE && ACTIVE(i) && !MINE(i) && TAKES(i) && \
		 MAY(i) && NOTED(i, 2))
#define GONE(i) (st[i] == IDLE && ACTIVE(i) && !MINE(i) && !PROOF(i) && \
		 OWNER_DEAD(i))
/* ... it would commit, and does not for want of a note */
#define WRITES(i) ((BACK(i) && !same[i]) || st[i] == TAKEN || \
		   (st[i] == IDLE && !MINE(i) && TAKES(i)) || \
		   (st[i] == STOPPING && mnt[i] == 0))
#define READY(i) (ACTIVE(i) && MAY(i) && CAN_LOCK(i) && NOTED(i, 1))

proctype Csvd(byte i)
{
	byte set = 0;
	bit good = 0;

end:	do
	/* volume_create(): what is not ours is stopped, take_swept() */
	:: d_step { st[i] == BOOT && ACTIVE(i) && settled[i] &&
		    mnt[i] != SHUTTING ->
		if
		:: MINE(i) && same[i]
		:: else ->
			mnt[i] = 0;
			gdown[i] = (gep[i] != 0)
		fi;
		st[i] = IDLE }

	/* an earlier start of this node owned it: no mount is left of that */
	:: d_step { BACK(i) && !same[i] && READY(i) ->
		transaction(i, RELEASE) }
	/* csvd_take_resume(), take_resume_checked(): goes on */
	:: d_step { BACK(i) && same[i] && RESUMES(i) && mnt[i] == LIVE ->
		RESUMED(i);
		vep[i] = ep[i];
		gep[i] = ep[i];
		gdown[i] = 0;
		st[i] = OWNER }
	/* take_resume_anew(): stopped and released */
	:: d_step { BACK(i) && same[i] && RESUMES(i) && mnt[i] != LIVE ->
		RESUMED(i);
		vep[i] = ep[i];
		st[i] = STOPPING }

	/* owner_dead(), csvd_fence_owner() */
	:: d_step { GONE(i) && (settled[i] || QUORATE(i)) && KNOWS(i) &&
		    fence[i] == 0 ->
		fence[i] = F_RUNS;
		fnode[i] = own[i];
		fep[i] = ep[i] }
	/* its guard answers "shut down, epoch N" */
	:: d_step { GONE(i) && UP(own[i]) && cut != i && cut != own[i] &&
		    gdown[own[i]] && gep[own[i]] == ep[i] -> proven[i] = 1 }
	/* owner_follow(), fence_wanted(): no longer wanted */
	:: d_step { st[i] == IDLE && ACTIVE(i) && fence[i] != 0 &&
		    (!GONE(i) || fep[i] != ep[i]) -> forget_fence(i) }

	/* owner_free(), csvd_take_start(), take_locked(), take_record() */
#ifdef M_RECORD_LATE
	:: d_step { FREE(i) -> forget_fence(i); vep[i] = ep[i] + 1;
		start_agent(i) }
	:: d_step { st[i] == OWNER && vep[i] == ep[i] + 1 && READY(i) ->
		begin(i, TAKE);
		set = TARGETS(i) & REACH(i);
		commit(i);
		st[i] = (st[i] == TAKEN -> OWNER : st[i]) }
#else
	:: d_step { FREE(i) && CAN_LOCK(i) ->
		forget_fence(i);
		transaction(i, TAKE) }
	/* take_confirm(): is the record still as we wrote it? */
	:: d_step { st[i] == TAKEN && READY(i) ->
		if
		:: STILL_MINE(i) -> transaction(i, CONFIRM)
		:: else -> vep[i] = 0; st[i] = IDLE
		fi }
#endif
	/* the same, but something stops it between start and commit */
	:: d_step { FREE(i) && CAN_LOCK(i) && faults > 0 ->
		faults--;
		forget_fence(i);
		begin(i, TAKE);
		glock = i;
		st[i] = TX }
	:: d_step { st[i] == TAKEN && READY(i) && STILL_MINE(i) && faults > 0 ->
		faults--;
		begin(i, CONFIRM);
		glock = i;
		st[i] = TX }
	:: d_step { st[i] == TX && ACTIVE(i) ->
		set = TARGETS(i) & REACH(i);
		commit(i) }
	/* the commit is torn: one node has it */
	:: d_step { st[i] == TX && ACTIVE(i) && faults > 0 ->
		faults--;
		set = BIT(i);
		commit(i) }
	:: d_step { st[i] == TX && ACTIVE(i) && faults > 0 ->
		faults--;
		set = TARGETS(i) & REACH(i) & ~BIT(i);
		commit(i) }
	/* after the recovery: judged by the sequence number alone */
	:: d_step { st[i] == WAIT && ACTIVE(i) && settled[i] ->
		if
		:: seq[i] == tseq[i] ->
			set = TARGETS(i) & REACH(i);
			commit(i)
		:: seq[i] == tseq[i] + 1 -> written(i)
		:: else -> forget_tx(i); vep[i] = 0; st[i] = IDLE
		fi }

#if N == 2
	/* third_note(): alone, and leading, it is to note two commits to come */
	:: d_step { WRITES(i) && ACTIVE(i) && COUNT(view[i]) == 1 && MAY(i) &&
		    NOTES(i) && note[i] < seq[i] + 2 ->
		note[i] = seq[i] + 2 }
	/* note_settle(): together again, the database gets as new as that */
	:: d_step { MAY(i) && settled[1 - i] && seq[0] == seq[1] &&
		    view[i] == 3 && view[1 - i] == 3 && REACH(i) == 3 &&
		    (note[0] > seq[i] || note[1] > seq[i]) ->
		seq[0]++;
		seq[1]++;
		old_notes() }
#endif

	/* take_failed() */
	:: d_step { st[i] == STARTING && !agent[i] -> st[i] = STOPPING }
	/* owner_lost_record() */
#ifndef M_RECORD_LATE
	:: d_step { st[i] == OWNER && ACTIVE(i) && settled[i] &&
		    !STILL_MINE(i) -> st[i] = STOPPING }
#endif
	/* monitor_broken(): the guard shut it down */
	:: d_step { st[i] == OWNER && mnt[i] != LIVE -> st[i] = STOPPING }
	/* csvd_owner_move(), csvd_owner_leave() */
	:: d_step { st[i] == OWNER && ACTIVE(i) && moves > 0 && STILL_MINE(i) ->
		moves--;
		st[i] = STOPPING }
	/* release_sync(), release_stopped() */
	:: d_step { st[i] == STOPPING && mnt[i] != 0 && mnt[i] != SHUTTING ->
		mnt[i] = 0;
		gdown[i] = (gep[i] == vep[i]) }
	/* release_write(), take_hand_on(), take_resume_stopped() */
	:: d_step { st[i] == STOPPING && mnt[i] == 0 && READY(i) ->
		if
		:: STILL_MINE(i) -> transaction(i, RELEASE)
		:: else -> vep[i] = 0; st[i] = IDLE
		fi }
#ifdef M_RESUMED
	/* ... cannot be written: take_hand_on() goes IDLE all the same */
	:: d_step { st[i] == STOPPING && mnt[i] == 0 && faults > 0 &&
		    resumed[i] -> faults--; vep[i] = 0; st[i] = IDLE }
#endif
	od
}

/* ---- Agents, and the disk */

#if N == 2
#define ONLY(i) (mnt[0] + mnt[1] == 0 || mnt[1 - (i)] == SHUT || \
		 mnt[1 - (i)] == 0)
#else
#define FREE_OF(k) (mnt[k] == 0 || mnt[k] == SHUT)
#define ONLY(i) (((i) == 0 || FREE_OF(0)) && ((i) == 1 || FREE_OF(1)) && \
		 ((i) == 2 || FREE_OF(2)))
#endif

proctype Agent(byte i)
{
end:	do
	/* ocf:heartbeat:Filesystem start; csvd_take_serve() */
	:: d_step { agent[i] && mnt[i] == 0 ->
		agent[i] = 0;
		/* two writers, or a late write that undoes another's */
		assert(ONLY(i));
		/* an epoch twice, or backwards */
		assert(vep[i] > top || st[i] != STARTING);
		top = (st[i] == STARTING -> vep[i] : top);
		mnt[i] = LIVE;
		st[i] = (st[i] == STARTING -> OWNER : st[i]) }
	:: d_step { agent[i] && mnt[i] != 0 -> agent[i] = 0 }
	/* the start fails */
	:: d_step { agent[i] && faults > 0 -> faults--; agent[i] = 0 }
	/* the last write lands */
	:: d_step { mnt[i] == SHUTTING -> mnt[i] = SHUT }

	/* csvd_fence_send(): first it is done, then told */
	:: d_step { fence[i] == F_RUNS ->
		power_off_any(fnode[i]);
		fence[i] = F_DONE }
	/* fence_attempted() */
	:: d_step { fence[i] == F_DONE ->
		proven[i] = (fep[i] == ep[i]);
		forget_fence(i) }
	/* it fails, or hangs until csvd_child's time limit */
	:: d_step { fence[i] == F_RUNS && faults > 0 ->
		faults--;
		forget_fence(i) }
	/* ... and yet it is done, later (World's power cut is that too) */
	:: d_step { fence[i] == F_DONE && faults > 0 ->
		faults--;
		forget_fence(i) }
	od
}

/* ---- The guard: csvd/supervisor.c today, and what the design adds */

#define CUT_OFF(i) (UP(i) && (banned == (i) || !VOTES(i)))
#ifdef M_ORPHAN
#define END_AGENTS(i) skip
#define NO_AGENT(i) true
#else
#define END_AGENTS(i) agent[i] = 0
#define NO_AGENT(i) (!agent[i])
#endif

proctype Guard(byte i)
{
end:	do
	/* supervisor_start(); the dead worker's agents end before */
	:: d_step { st[i] == DEAD ->
		END_AGENTS(i);
		st[i] = BOOT }
#ifdef M_GUARD_EARLY
	:: d_step { gep[i] != 0 && !gdown[i] && CUT_OFF(i) -> gdown[i] = 1 }
#endif
	/* supervisor_self_fence(): worker, agents, file system */
	:: d_step { gep[i] != 0 && CUT_OFF(i) &&
		    (mnt[i] == LIVE || agent[i]) ->
		worker_dies(i);
		END_AGENTS(i);
		mnt[i] = (mnt[i] == LIVE -> SHUTTING : mnt[i]) }
	/* "shut down, epoch N", once nothing is on its way to the disk */
	:: d_step { gep[i] != 0 && CUT_OFF(i) && !gdown[i] && NO_AGENT(i) &&
		    mnt[i] != LIVE && mnt[i] != SHUTTING ->
		worker_dies(i);
		gdown[i] = 1 }
	od
}

/* ---- What happens to them */

inline fault(i)
{
	if
	/* power cut; a late fence agent; the owner, then its successor */
	:: UP(i) -> power_off(i)
	:: UP(i) && cut == NONE -> cut = i
	:: UP(i) && banned == NONE -> banned = i
	/* csvd is killed */
	:: st[i] != OFF && st[i] != DEAD -> worker_dies(i)
	/* the guard is killed, the worker with it: the next knows no mount */
	:: UP(i) && gep[i] != 0 ->
		gep[i] = 0;
		gdown[i] = 0;
		worker_dies(i)
	fi;
	faults--
}

proctype World()
{
end:	do
	:: atomic { faults > 0 && UP(0) -> fault(0) }
	:: atomic { faults > 0 && UP(1) -> fault(1) }
#if N > 2
	:: atomic { faults > 0 && UP(2) -> fault(2) }
#endif
	/* a node comes back, a cut heals */
	:: d_step { !UP(0) && returns > 0 -> returns--; st[0] = BOOT }
	:: d_step { !UP(1) && returns > 0 -> returns--; st[1] = BOOT }
#if N > 2
	:: d_step { !UP(2) && returns > 0 -> returns--; st[2] = BOOT }
#endif
	:: d_step { cut != NONE -> cut = NONE }
	:: d_step { banned != NONE -> banned = NONE }
#if N == 2
	:: d_step { far == NONE && faults > 0 -> faults--; far = 0 }
	:: d_step { far == NONE && faults > 0 -> faults--; far = 1 }
	:: d_step { far != NONE -> far = NONE }
#endif
	/* the whole cluster loses power */
	:: d_step { faults > 0 ->
		faults--;
		power_off(0);
		power_off(1);
#if N > 2
		power_off(2);
#endif
		lock = NONE }
	od
}

inline at_first(i)
{
	view[i] = BIT(N) - 1;
	vnn[i] = BIT(N) - 1;
	settled[i] = 1;
	seq[i] = 1;
	ep[i] = 1;
	own[i] = 0;
	same[i] = 1;
	st[i] = IDLE
}

#ifdef PROGRESS
/*
 * Again and again the volume is Active, or no part of the cluster has the
 * votes. (Faults are few, and fence agents and guards answer in the end.)
 */
#define SERVED(i) (st[i] == OWNER && mnt[i] == LIVE)
#if N == 2
#define ABLE (LINK(0, 1) || (LINK(0, 0) && THIRD(0) && NEWEST(0)) || \
	      (LINK(1, 1) && THIRD(1) && NEWEST(1)))
ltl progress { [] <> (SERVED(0) || SERVED(1) || !ABLE) }
#else
#define ABLE (LINK(0, 1) || LINK(0, 2) || LINK(1, 2))
ltl progress { [] <> (SERVED(0) || SERVED(1) || SERVED(2) || !ABLE) }
#endif
#endif

/* Node 0 owns the volume; it leads, or node 1 does. */
init {
	atomic {
		at_first(0);
		at_first(1);
#if N > 2
		at_first(2);
#endif
		st[0] = OWNER;
		vep[0] = 1;
		gep[0] = 1;
		mnt[0] = LIVE;
		if
		:: lock = 0
		:: lock = 1
		fi;
		run Ctdb();
		run World();
		run Csvd(0); run Agent(0); run Guard(0);
		run Csvd(1); run Agent(1); run Guard(1);
#if N > 2
		run Csvd(2); run Agent(2); run Guard(2)
#endif
	}
}
