/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Serving the wire: other nodes' processes reach the volumes that this node
 * owns. Runs on threads of its own, knows nothing of ctdb, records or agents;
 * csvd's main thread tells it which volume is served in which epoch.
 *
 * One thread does all socket I/O and never touches storage in a way that may
 * block: it answers keepalives and does what the page cache answers at once
 * (RWF_NOWAIT); everything else goes to worker threads, which take on the
 * asking user's identity. Memory is bounded by credits per connection.
 */
#ifndef _CSVD_SERVE_H_
#define _CSVD_SERVE_H_

#include <talloc.h>
#include "csv_file.h"
#include "lib/wire/auth.h"

struct csv_serve;

struct csv_serve_params {
	const char *address; /* numeric; the cluster address to listen on */
	uint16_t port;	     /* 0: any, see csv_serve_port() */
	uint32_t node;	     /* own CTDB node number */
	bool plain;	     /* after the handshake no TLS records */
	unsigned keepalive_ms;	/* a peer silent for this long is gone */
	unsigned num_workers;	/* 0: a default */
	/*
	 * The cluster's secret of a generation, false: not valid (any more).
	 * Called from the socket thread; must not block.
	 */
	bool (*secret_fn)(void *private_data,
			  uint32_t generation,
			  uint8_t secret[CSV_SECRET_SIZE]);
	void *private_data;
};

/* Starts listening and the threads. 0 or errno. Freeing stops them all. */
int csv_serve_create(TALLOC_CTX *mem_ctx,
		     const struct csv_serve_params *params,
		     struct csv_serve **serve);
uint16_t csv_serve_port(const struct csv_serve *serve);

/* Serve a volume from now on; rootfd is duplicated. EEXIST. */
int csv_serve_start(struct csv_serve *serve,
		    const char *volume,
		    int rootfd,
		    uint64_t epoch);

/*
 * The same after an owner that died: for grace_ms, or until csv_serve_open(),
 * only replays and opens by file handle are done, everything else waits here
 * (clients' credits bound how much).
 */
int csv_serve_start_grace(struct csv_serve *serve,
			  const char *volume,
			  int rootfd,
			  uint64_t epoch,
			  unsigned grace_ms);
/* Every client has replayed: what waits is done now. ENOENT. */
int csv_serve_open(struct csv_serve *serve, const char *volume);

/*
 * Stop serving: new requests are answered CSV_E_STALE, those in progress end
 * and are answered, then every descriptor on the volume is closed. Blocks at
 * most timeout_ms: ETIMEDOUT when a request still hangs in storage (the
 * volume stays draining; call again). ENOENT: not served. After 0 no thread
 * holds anything of the volume.
 */
int csv_serve_stop(struct csv_serve *serve,
		   const char *volume,
		   unsigned timeout_ms);

/*
 * csv_local_sweep() on the volume that is served: once replay is over.
 * Blocks. ENOENT: not served; else 0 or errno.
 */
int csv_serve_sweep(struct csv_serve *serve,
		    const char *volume,
		    unsigned *removed);

/* Of a volume: now connected and open, served since the process began. */
struct csv_serve_counters {
	uint64_t connections, handles, requests, read_bytes, write_bytes;
	uint64_t inline_requests, refused_connections;
	uint64_t piped_requests; /* large reads that were not copied */
	uint64_t waited; /* for the end of grace */
};
/* volume NULL: all together. ENOENT: never served. */
int csv_serve_counters(struct csv_serve *serve,
		       const char *volume,
		       struct csv_serve_counters *counters);

#endif /* _CSVD_SERVE_H_ */
