/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vfs_csvdfs: DFS referrals to the owner of a share's volume, for clients that
 * know neither move on connect (SMB 3.1.1) nor witness. A client asks for them
 * on IPC$, before it connects the share, so this is a module for [IPC$]:
 *
 *	[IPC$]
 *	    vfs objects = csvdfs
 *	[vms]
 *	    csv:dfs referral = yes
 *
 * "\node\vms" is then answered with the addresses of the node that has the
 * volume mounted, and with itself where its I/O is direct or nothing better is
 * known. Everything else is Samba's own business.
 */
#include "includes.h"
#include "smbd/proto.h"
#include "smbd/smbd.h"
#include "librpc/gen_ndr/dfsblobs.h"
#include "lib/global_contexts.h"
#include "lib/node/addresses.h"
#include "lib/site/site.h"
#include "lib/volume/control.h"
#include "modules/version.h"

/* csvd answers from memory; a client waits for it. */
#define DFS_ATTACH_TIMEOUT_MS 2000
/* The client asks again after this; a volume may have moved by then. */
#define DFS_TTL_S 10
#define DFS_TARGETS_MAX 16
/* The sizes of an entry without its strings, [MS-DFSC] 2.2.5.2, 2.2.5.3. */
#define DFS_V2_SIZE 22
#define DFS_V3_SIZE 34

/* "\server\share" of a path, and the share in it. False: it has none. */
static bool dfs_split(TALLOC_CTX *mem_ctx,
		      const char *path,
		      char **root,
		      char **share)
{
	const char *server = path + strspn(path, "\\/");
	size_t length = strcspn(server, "\\/");
	const char *name = server + length + strspn(server + length, "\\/");

	if (length == 0 || name == server + length || *name == '\0') {
		return false;
	}
	*share = talloc_strndup(mem_ctx, name, strcspn(name, "\\/"));
	*root = talloc_asprintf(mem_ctx,
				"\\%.*s\\%s",
				(int)length,
				server,
				*share);
	return *share != NULL && *root != NULL;
}

/* The service that a referral is for; -1: none of ours. */
static int dfs_service(TALLOC_CTX *mem_ctx, const char *share)
{
	char *name = NULL;
	int snum = find_service(mem_ctx, share, &name);

	if (snum < 0 || !lp_parm_bool(snum, "csv", "dfs referral", false) ||
	    lp_parm_const_string(snum, "csv", "volume", NULL) == NULL)
	{
		return -1;
	}
	return snum;
}

/*
 * Ask csvd, on a connection of its own: what vfs_csv uses in this process is
 * not ours; as root from beginning to end. False: this node is as good as any
 * other.
 */
static bool dfs_owner(TALLOC_CTX *mem_ctx, int snum, uint32_t *owner)
{
	const struct csv_control_volume params = {
		.name = lp_parm_const_string(snum, "csv", "volume", NULL),
	};
	const char *socket = lp_parm_const_string(
		snum, "csv", "socket", CSV_CONTROL_SOCKET);
	struct csv_control *control = NULL;
	struct csv_volume *vol = NULL;
	bool elsewhere = false;
	int ret;

	become_root();
	ret = csv_control_create(
		mem_ctx, global_event_context(), socket, &control);
	if (ret == 0) {
		ret = csv_control_attach(
			control, control, &params, DFS_ATTACH_TIMEOUT_MS, &vol);
	}
	if (ret == 0) {
		*owner = csv_volume_owner(vol);
		elsewhere = csv_volume_told_access(vol) ==
				    CSV_ACCESS_REDIRECTED &&
			    !csv_site_keeps(snum, get_my_vnn(), *owner);
	} else {
		DBG_WARNING("volume %s: csvd does not say who owns it: %s\n",
			    params.name,
			    strerror(ret));
	}
	TALLOC_FREE(vol);
	TALLOC_FREE(control);
	unbecome_root();
	return elsewhere;
}

/* "\address\share"; IPv6 in the form that a UNC name can hold. */
static char *dfs_target(TALLOC_CTX *mem_ctx,
			const struct sockaddr_storage *ss,
			const char *share)
{
	char address[INET6_ADDRSTRLEN] = "";

	print_sockaddr(address, sizeof(address), ss);
	if (ss->ss_family != AF_INET6) {
		return talloc_asprintf(mem_ctx, "\\%s\\%s", address, share);
	}
	string_replace(address, ':', '-');
	return talloc_asprintf(
		mem_ctx, "\\%s.ipv6-literal.net\\%s", address, share);
}

/* The targets, best first; at least one, or no memory. */
static char **dfs_targets(TALLOC_CTX *mem_ctx,
			  int snum,
			  const char *root,
			  const char *share)
{
	struct sockaddr_storage list[DFS_TARGETS_MAX];
	char **targets = NULL;
	uint32_t owner = 0;
	size_t num = 0;
	size_t i;

	if (dfs_owner(mem_ctx, snum, &owner)) {
		num = csv_node_addresses(owner, list, ARRAY_SIZE(list));
	}
	targets = talloc_zero_array(mem_ctx, char *, num + 2);
	for (i = 0; targets != NULL && i < MAX(num, 1); i++) {
		targets[i] = num != 0 ? dfs_target(targets, &list[i], share)
				      : talloc_strdup(targets, root);
		if (targets[i] == NULL) {
			TALLOC_FREE(targets);
		}
	}
	return targets;
}

static bool dfs_entry(TALLOC_CTX *mem_ctx,
		      struct dfs_referral_type *entry,
		      uint16_t version,
		      const char *root,
		      char *target)
{
	char *path = talloc_strdup(mem_ctx, root);

	entry->version = version;
	if (version == 2) {
		entry->referral.v2 = (struct dfs_referral_v2){
			.size = DFS_V2_SIZE,
			.server_type = DFS_SERVER_ROOT,
			.ttl = DFS_TTL_S,
			.DFS_path = path,
			.DFS_alt_path = path,
			.netw_address = target,
		};
	} else {
		entry->referral.v3 = (struct dfs_referral_v3){
			.size = DFS_V3_SIZE,
			.server_type = DFS_SERVER_ROOT,
			.ttl = DFS_TTL_S,
			.referrals.r1 = {
				.DFS_path = path,
				.DFS_alt_path = path,
				.netw_address = target,
			},
		};
	}
	return path != NULL;
}

static NTSTATUS dfs_answer(struct dfs_GetDFSReferral *r,
			   const char *root,
			   char **targets)
{
	uint16_t version = r->in.req.max_referral_level >= 3 ? 3 : 2;
	struct dfs_referral_resp *resp = NULL;
	size_t num = 0;
	size_t i;

	while (targets[num] != NULL) {
		num++;
	}
	resp = talloc_zero(r, struct dfs_referral_resp);
	if (resp == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	resp->path_consumed = strlen_m(root) * 2;
	resp->nb_referrals = num;
	resp->header_flags = DFS_HEADER_FLAG_REFERAL_SVR |
			     DFS_HEADER_FLAG_STORAGE_SVR;
	resp->referral_entries = talloc_zero_array(
		resp, struct dfs_referral_type, num);
	if (resp->referral_entries == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	for (i = 0; i < num; i++) {
		if (!dfs_entry(resp,
			       &resp->referral_entries[i],
			       version,
			       root,
			       targets[i]))
		{
			return NT_STATUS_NO_MEMORY;
		}
	}
	r->out.resp = resp;
	return NT_STATUS_OK;
}

static NTSTATUS csvdfs_get_dfs_referrals(struct vfs_handle_struct *handle,
					 struct dfs_GetDFSReferral *r)
{
	char *root = NULL;
	char *share = NULL;
	char **targets = NULL;
	int snum = -1;

	if (r->in.req.servername != NULL &&
	    dfs_split(r, r->in.req.servername, &root, &share))
	{
		snum = dfs_service(r, share);
	}
	if (snum < 0) {
		return SMB_VFS_NEXT_GET_DFS_REFERRALS(handle, r);
	}
	targets = dfs_targets(r, snum, root, share);
	if (targets == NULL) {
		return NT_STATUS_NO_MEMORY;
	}
	DBG_INFO("[%s]: a client is referred to %s\n", share, targets[0]);
	return dfs_answer(r, root, targets);
}

static struct vfs_fn_pointers csvdfs_fns = {
	.get_dfs_referrals_fn = csvdfs_get_dfs_referrals,
};

NTSTATUS samba_init_module(TALLOC_CTX *mem_ctx)
{
	NTSTATUS status = csv_samba_is_ours();

	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	return smb_register_vfs(
		SMB_VFS_INTERFACE_VERSION, "csvdfs", &csvdfs_fns);
}
