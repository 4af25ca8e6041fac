/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The test client: SMB 3.1.1 with the behaviour of Windows on top of Samba's
 * low level client library.
 *
 * A client is one ClientGuid. It has at most one link (connection + session +
 * tree connects) at a time. Every request is a call: when the link is lost,
 * or the server answers with a status that MS-SMB2 lets a client retry, the
 * link is made anew (same or next address, previous session id), persistent
 * handles are reconnected, the channel sequence is raised and each call in
 * flight is sent again, with the REPLAY flag where it was sent before.
 *
 * Memory: everything hangs below the client (talloc). Nothing here blocks
 * except the functions that say so; those run the client's event loop.
 */
#ifndef _SOFS_TEST_CLIENT_H_
#define _SOFS_TEST_CLIENT_H_

#include "includes.h"
#include <jansson.h>
#include <tevent.h>
#include "lib/util/tevent_ntstatus.h"
#include "lib/util/dlinklist.h"
#include "libcli/smb/smbXcli_base.h"
#include "libcli/smb/smb2_create_blob.h"
#include "libcli/smb/smb2_lease.h"
#include "libcli/smb/smb2_constants.h"

#define SMB3_MAX_ADDRESSES 16
#define SMB3_MAX_SHARES 4
#define SMB3_LOCK_BUCKETS 64

/* MS-FSCC file information classes */
#define SMB3_INFO_RENAME 10
#define SMB3_INFO_DISPOSITION 13
#define SMB3_INFO_EA 15
#define SMB3_INFO_END_OF_FILE 20

struct smb3_options {
	const char *server;		/* name in the UNC path */
	const char *addresses[SMB3_MAX_ADDRESSES];
	size_t num_addresses;
	const char *shares[SMB3_MAX_SHARES];
	size_t num_shares;
	struct cli_credentials *creds;
	uint16_t port;
	uint16_t max_credits;
	bool sign;
	bool encrypt;
	bool verbose;
	bool move_on_connect;		/* ask for the owner, and follow */
	uint32_t connect_timeout_ms;
	uint32_t echo_interval_ms;
	uint32_t echo_timeout_ms;
	uint32_t give_up_ms;		/* how long a lost link is retried */
	uint32_t persistent_timeout_ms;	/* asked for in DH2Q, 0 = server's */
};

/* What a client went through; read by the reports. */
struct smb3_stats {
	uint32_t reconnects;
	uint32_t handles_reconnected;
	uint32_t handles_lost;
	uint32_t replays;
	uint32_t redirects;
	uint32_t moves;			/* told by witness */
	uint32_t echoes;
	double longest_echo_ms;
	json_t *retried_status;		/* NT status -> count, from the server */
	json_t *connection_failures;	/* local causes -> count */
	json_t *links;			/* one object per established link */
};

/* Where in its life a request is; the retry rules depend on it. */
enum smb3_phase {
	SMB3_PHASE_CONNECT = 0x01,
	SMB3_PHASE_NEGOTIATE = 0x02,
	SMB3_PHASE_SESSION = 0x04,
	SMB3_PHASE_TREE = 0x08,
	SMB3_PHASE_REOPEN = 0x10,
	SMB3_PHASE_CREATE = 0x20,
	SMB3_PHASE_CALL = 0x40,
};

enum smb3_verdict {
	SMB3_VERDICT_FINAL,		/* the caller gets the status */
	SMB3_VERDICT_RESEND,		/* same request again, later */
	SMB3_VERDICT_RELINK,		/* new link, then the request again */
};

struct smb3_link {
	struct smbXcli_conn *conn;
	struct smbXcli_session *session;
	struct smbXcli_tcon *tcons[SMB3_MAX_SHARES];
	enum smb3_phase phase;
	struct timeval opened;
	struct timeval last_reply;
	struct timeval echo_sent;
	struct tevent_req *echo_req;
	struct tevent_req *break_req;
	struct tevent_timer *echo_timer;
	json_t *report;			/* its object in the report, borrowed */
};

enum smb3_client_state {
	SMB3_CLIENT_DOWN,
	SMB3_CLIENT_OPENING,
	SMB3_CLIENT_UP,
	SMB3_CLIENT_DEAD,
};

struct smb3_handle;
struct smb3_call;

struct smb3_client {
	struct tevent_context *ev;
	const struct smb3_options *opts;
	struct GUID client_guid;
	enum smb3_client_state state;
	NTSTATUS dead_status;
	struct smb3_link *link;
	struct tevent_req *open_req;
	struct tevent_immediate *relink_im;
	struct tevent_timer *relink_timer;
	struct tevent_timer *pump_timer;
	bool ever_up;
	bool closing;
	bool isolated;			/* this link serves one share only */
	bool redirected;		/* and not up since */
	char *moved_to;			/* where that led, until it is lost */
	size_t address;			/* index of the one in use */
	uint32_t attempts;		/* since the link was lost */
	struct timeval lost_since;
	uint64_t previous_session_id;
	uint16_t channel_sequence;
	struct smb3_call *calls;
	struct smb3_handle *handles;
	struct smb3_stats stats;
	void (*lease_break)(struct smb3_client *client,
			    const struct smb2_lease_key *key,
			    uint32_t new_state,
			    uint16_t epoch,
			    bool ack_required,
			    void *private_data);
	void *lease_break_private;
};

struct smb3_open_params {
	size_t share;			/* index into the options' shares */
	const char *path;
	uint32_t access_mask;
	uint32_t attributes;
	uint32_t share_access;
	uint32_t disposition;
	uint32_t create_options;
	bool persistent;
	uint32_t lease_state;		/* 0: no lease asked for */
	uint64_t lease_key[2];
	DATA_BLOB ea;			/* ExtA blob, may be empty */
};

struct smb3_handle {
	struct smb3_handle *prev, *next;
	struct smb3_client *client;
	struct smb3_open_params params;
	struct GUID create_guid;
	bool open;
	bool persistent;
	bool closing;
	NTSTATUS broken;		/* not OK: lost for good, and why */
	uint64_t fid_persistent;
	uint64_t fid_volatile;
	uint32_t lease_state;
	uint32_t reopened;		/* times it was reconnected */
	struct smb_create_returns cr;
	uint8_t lock_sequence[SMB3_LOCK_BUCKETS];
	uint32_t next_bucket;
};

/* One kind of request. args belongs to the caller until the call ends. */
struct smb3_call_ops {
	const char *name;
	enum smb3_phase phase;
	struct tevent_req *(*send)(TALLOC_CTX *mem_ctx,
				   struct smb3_handle *handle,
				   void *args);
	NTSTATUS (*recv)(struct tevent_req *subreq,
			 struct smb3_handle *handle,
			 void *args);
};

/* retry.c */
enum smb3_verdict smb3_judge(NTSTATUS status,
			     enum smb3_phase phase,
			     bool first_link,
			     bool replayed);
bool smb3_is_transport_error(NTSTATUS status);
void smb3_count(json_t *counts, NTSTATUS status);

/* connect.c: one attempt to make a link to opts->addresses[client->address] */
struct tevent_req *smb3_link_open_send(TALLOC_CTX *mem_ctx,
				       struct smb3_client *client);
NTSTATUS smb3_link_open_recv(struct tevent_req *req);

/*
 * redirect.c: connect a share. NT_STATUS_RETRY: make the link anew at once,
 * either for this share alone, or at the address that it was sent to.
 */
struct tevent_req *smb3_tcon_send(TALLOC_CTX *mem_ctx,
				  struct smb3_client *client,
				  size_t share);
NTSTATUS smb3_tcon_recv(struct tevent_req *req);

/* auth.c: session setup on client->link */
struct tevent_req *smb3_session_setup_send(TALLOC_CTX *mem_ctx,
					   struct smb3_client *client);
NTSTATUS smb3_session_setup_recv(struct tevent_req *req);

/* keepalive.c */
bool smb3_keepalive_start(struct smb3_client *client);
void smb3_link_heard(struct smb3_client *client);

/* lease.c: waits for breaks on client->link, acknowledges one */
bool smb3_break_listen(struct smb3_client *client);
struct tevent_req *smb3_lease_ack_send(TALLOC_CTX *mem_ctx,
				       struct smb3_handle *handle,
				       const struct smb2_lease_key *key,
				       uint32_t new_state);

/* client.c. smb3_client_connect, smb3_call and smb3_client_close block. */
struct smb3_client *smb3_client_create(TALLOC_CTX *mem_ctx,
				       struct tevent_context *ev,
				       const struct smb3_options *opts);
/* The address in use. */
const char *smb3_address(const struct smb3_client *client);
NTSTATUS smb3_client_connect(struct smb3_client *client);
void smb3_client_close(struct smb3_client *client);
void smb3_link_lost(struct smb3_client *client, NTSTATUS status);
/*
 * What a witness client does when it is told to ([MS-SMB2] 3.2.4.29): leave
 * this node at once; address: go there, NULL: to the next one of the list.
 */
void smb3_move(struct smb3_client *client, const char *address);
struct tevent_req *smb3_call_send(TALLOC_CTX *mem_ctx,
				  struct smb3_client *client,
				  struct smb3_handle *handle,
				  const struct smb3_call_ops *ops,
				  void *args);
NTSTATUS smb3_call_recv(struct tevent_req *req);
NTSTATUS smb3_call(struct smb3_client *client,
		   struct smb3_handle *handle,
		   const struct smb3_call_ops *ops,
		   void *args);
void smb3_trace(struct smb3_client *client, const char *fmt, ...)
	PRINTF_ATTRIBUTE(2, 3);

/* handle.c; all block except the _send functions */
struct tevent_req *smb3_reopen_send(TALLOC_CTX *mem_ctx,
				    struct smb3_handle *handle);
NTSTATUS smb3_reopen_recv(struct tevent_req *req, struct smb3_handle *handle);
NTSTATUS smb3_open(struct smb3_client *client,
		   const struct smb3_open_params *params,
		   struct smb3_handle **handle);
NTSTATUS smb3_close(struct smb3_handle *handle);

struct smb3_lock {
	uint64_t offset;
	uint64_t length;
	uint32_t flags;			/* SMB2_LOCK_FLAG_* */
};

/* io.c; all block except the _send functions */
struct smb3_rw_args {
	uint64_t offset;
	uint32_t length;
	uint8_t *data;			/* read: talloc'ed below mem_ctx */
	uint32_t done;
	TALLOC_CTX *mem_ctx;
};
struct tevent_req *smb3_write_send(TALLOC_CTX *mem_ctx,
				   struct smb3_handle *handle,
				   struct smb3_rw_args *args);
struct tevent_req *smb3_read_send(TALLOC_CTX *mem_ctx,
				  struct smb3_handle *handle,
				  struct smb3_rw_args *args);
NTSTATUS smb3_write(struct smb3_handle *handle,
		    uint64_t offset,
		    const uint8_t *data,
		    uint32_t length);
NTSTATUS smb3_read(struct smb3_handle *handle,
		   TALLOC_CTX *mem_ctx,
		   uint64_t offset,
		   uint32_t length,
		   uint8_t **data,
		   uint32_t *done);
NTSTATUS smb3_flush(struct smb3_handle *handle);
NTSTATUS smb3_lock(struct smb3_handle *handle, const struct smb3_lock *lock);
NTSTATUS smb3_set_info(struct smb3_handle *handle,
		       uint8_t type,
		       uint8_t level,
		       uint32_t additional,
		       DATA_BLOB in);
NTSTATUS smb3_query_info(struct smb3_handle *handle,
			 uint8_t type,
			 uint8_t level,
			 uint32_t additional,
			 TALLOC_CTX *mem_ctx,
			 DATA_BLOB *out);
NTSTATUS smb3_ioctl(struct smb3_handle *handle,
		    uint32_t code,
		    DATA_BLOB in,
		    uint32_t max_out,
		    TALLOC_CTX *mem_ctx,
		    DATA_BLOB *out);
NTSTATUS smb3_query_directory(struct smb3_handle *handle,
			      uint8_t flags,
			      const char *mask,
			      uint32_t max_out,
			      TALLOC_CTX *mem_ctx,
			      DATA_BLOB *out);

/* block.c: numbered, checksummed blocks */
#define BLOCK_MIN_SIZE 64
enum block_verdict {
	BLOCK_OK,
	BLOCK_EMPTY,			/* all zero or short: never written */
	BLOCK_CORRUPT,			/* checksum or shape wrong */
	BLOCK_FOREIGN,			/* good, but of another run */
	BLOCK_MISPLACED,		/* good, but belongs elsewhere */
};
void block_fill(uint8_t *buf,
		uint32_t size,
		const struct GUID *run,
		uint64_t number);
enum block_verdict block_check(const uint8_t *buf,
			       uint32_t size,
			       const struct GUID *run,
			       uint64_t expected,
			       uint64_t *found);
uint32_t block_crc32c(uint32_t crc, const uint8_t *buf, size_t len);

/* report.c */
struct report;
struct report *report_create(TALLOC_CTX *mem_ctx, const char *mode);
json_t *report_json(struct report *report);
void report_set(struct report *report, const char *key, json_t *value);
void report_error(struct report *report, const char *fmt, ...)
	PRINTF_ATTRIBUTE(2, 3);
uint32_t report_errors(const struct report *report);
void report_client(struct report *report,
		   const char *prefix,
		   struct smb3_client *client);
bool report_write(struct report *report, const char *path);
double msec_between(struct timeval from, struct timeval to);

/* main.c: what the sub-modes get; each returns the exit code */
struct main_context {
	struct tevent_context *ev;
	struct smb3_options opts;
	const char *path;
	const char *report_path;
	const char *control_path;
	const char *verify_addresses;
	const char *stream_report;
	int interval_ms;
	int block_size;
	int count;
	int seconds;
	int sessions;
	int progress;
	int keep;
};
int mode_stream(struct main_context *ctx);
int mode_verify(struct main_context *ctx);
int mode_locks(struct main_context *ctx);
int mode_ops(struct main_context *ctx);
int mode_outstanding(struct main_context *ctx);
int mode_many(struct main_context *ctx);
int mode_storm(struct main_context *ctx);
int mode_price(struct main_context *ctx);

/* control.c: commands on stdin or a fifo */
struct control;
typedef void (*control_fn)(const char *command, void *private_data);
struct control *control_create(TALLOC_CTX *mem_ctx,
			       struct tevent_context *ev,
			       const char *path,
			       control_fn fn,
			       void *private_data);

/* verify.c: reads count blocks through client and reports into report */
struct verify_result {
	uint64_t verified;
	uint64_t lost;
	uint64_t doubled;
	uint64_t corrupt;
};
NTSTATUS verify_blocks(struct smb3_handle *handle,
		       struct report *report,
		       const struct GUID *run,
		       uint32_t block_size,
		       uint64_t count,
		       struct verify_result *result);
void verify_report(struct report *report,
		   const char *prefix,
		   const struct verify_result *result);

#endif
