/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blobs in Azure-compatible object storage (cloud witness): one per block, so
 * that each node writes one of its own. Every write names the version that it
 * replaces (If-Match): one that arrives late is refused by the service.
 *
 * Not the service's own blob leases: the shortest lasts 15 seconds.
 */
#include "quorum/third/third.h"
#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sys/stat.h>
#include <time.h>

#define AZURE_VERSION "2021-08-06"
#define AZURE_ETAG_MAX 80

struct azure_state {
	CURL *curl;
	char *url;     /* up to the blob's number */
	char *path;    /* of that url, as it is signed */
	char account[64];
	uint8_t key[128];
	size_t key_len;
	int64_t ahead_s; /* the service's clock before ours: it wants dates */
	char etag[QUORUM_AREA_BLOCKS][AZURE_ETAG_MAX];
	/* of the answer that comes just now */
	uint8_t *body;
	size_t body_len;
	char answer_etag[AZURE_ETAG_MAX];
};

static size_t azure_body(char *data, size_t size, size_t num, void *p)
{
	struct azure_state *s = p;
	size_t n = MIN(size * num, QUORUM_SLOT_BLOCK - s->body_len);

	if (s->body != NULL) {
		memcpy(s->body + s->body_len, data, n);
		s->body_len += n;
	}
	return size * num;
}

static size_t azure_header(char *line, size_t size, size_t num, void *p)
{
	struct azure_state *s = p;
	char text[256];
	size_t n = MIN(size * num, sizeof(text) - 1);
	time_t date;

	memcpy(text, line, n);
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (strncasecmp(text, "etag: ", 6) == 0) {
		strlcpy(s->answer_etag, text + 6, sizeof(s->answer_etag));
	} else if (strncasecmp(text, "date: ", 6) == 0) {
		date = curl_getdate(text + 6, NULL);
		if (date != -1) {
			s->ahead_s = date - time(NULL);
		}
	}
	return size * num;
}

/* "SharedKey account:signature" of what is signed of a request. */
static char *azure_authorization(TALLOC_CTX *mem_ctx,
				 struct azure_state *s,
				 const char *signed_text)
{
	uint8_t mac[32];
	gnutls_datum_t in = {.data = mac, .size = sizeof(mac)}, b64 = {};
	char *result = NULL;

	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256,
			     s->key,
			     s->key_len,
			     signed_text,
			     strlen(signed_text),
			     mac) == 0 &&
	    gnutls_base64_encode2(&in, &b64) == 0)
	{
		result = talloc_asprintf(mem_ctx,
					 "Authorization: SharedKey %s:%.*s",
					 s->account,
					 (int)b64.size,
					 (const char *)b64.data);
		gnutls_free(b64.data);
	}
	return result;
}

static struct curl_slist *azure_headers(TALLOC_CTX *mem_ctx,
					struct azure_state *s,
					unsigned block,
					bool put)
{
	const char *etag = s->etag[block];
	char date[64], *text = NULL, *auth = NULL;
	struct curl_slist *list = NULL;
	time_t now = time(NULL) + s->ahead_s;
	struct tm tm = {};

	strftime(date,
		 sizeof(date),
		 "%a, %d %b %Y %H:%M:%S GMT",
		 gmtime_r(&now, &tm));
	/* verb, 11 standard headers, x-ms-*, resource */
	text = talloc_asprintf(
		mem_ctx,
		"%s\n\n\n%s\n\n%s\n\n\n%s\n%s\n\n\n"
		"%sx-ms-date:%s\nx-ms-version:%s\n/%s%s.%u",
		put ? "PUT" : "GET",
		put ? "4096" : "",
		put ? "application/octet-stream" : "",
		put ? etag : "",
		put && etag[0] == '\0' ? "*" : "",
		put ? "x-ms-blob-type:BlockBlob\n" : "",
		date,
		AZURE_VERSION,
		s->account,
		s->path,
		block);
	auth = text != NULL ? azure_authorization(mem_ctx, s, text) : NULL;
	if (auth == NULL) {
		return NULL;
	}
	list = curl_slist_append(list, auth);
	list = curl_slist_append(
		list,
		talloc_asprintf(mem_ctx, "x-ms-date: %s", date));
	list = curl_slist_append(list, "x-ms-version: " AZURE_VERSION);
	if (put) {
		list = curl_slist_append(
			list,
			"Content-Type: application/octet-stream");
		list = curl_slist_append(list, "x-ms-blob-type: BlockBlob");
		list = curl_slist_append(list, "Expect:");
		list = curl_slist_append(
			list,
			etag[0] != '\0'
				? talloc_asprintf(mem_ctx, "If-Match: %s", etag)
				: "If-None-Match: *");
	}
	return list;
}

/* One request; the HTTP status, or 0. */
static long azure_once(struct azure_state *s, unsigned block, const uint8_t *put)
{
	TALLOC_CTX *frame = talloc_new(NULL);
	struct curl_slist *headers = azure_headers(frame,
						   s,
						   block,
						   put != NULL);
	char *url = talloc_asprintf(frame, "%s.%u", s->url, block);
	long status = 0;

	s->body_len = 0;
	s->answer_etag[0] = '\0';
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
	if (put != NULL) {
		curl_easy_setopt(s->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, "PUT");
		curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, put);
		curl_easy_setopt(s->curl,
				 CURLOPT_POSTFIELDSIZE,
				 (long)QUORUM_SLOT_BLOCK);
	} else {
		curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, NULL);
		curl_easy_setopt(s->curl, CURLOPT_HTTPGET, 1L);
	}
	if (headers != NULL && curl_easy_perform(s->curl) == CURLE_OK) {
		curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_slist_free_all(headers);
	talloc_free(frame);
	return status;
}

static int azure_request(struct azure_state *s,
			 unsigned block,
			 const uint8_t *put)
{
	int64_t ahead = s->ahead_s;
	long status = azure_once(s, block, put);

	if (status == 403 && llabs(s->ahead_s - ahead) > 60) {
		status = azure_once(s, block, put); /* with its date */
	}
	switch (status) {
	case 200:
	case 201:
		strlcpy(s->etag[block], s->answer_etag, AZURE_ETAG_MAX);
		return 0;
	case 404:
		s->etag[block][0] = '\0';
		return ENOENT;
	case 409:
	case 412:
		return EBUSY; /* not the version that was read */
	case 401:
	case 403:
		return EACCES;
	case 0:
		return ETIMEDOUT;
	default:
		return EIO;
	}
}

static int azure_auth_line(struct azure_state *s, char *line)
{
	char *value = strchr(line, '=');
	gnutls_datum_t in = {}, out = {};

	line[strcspn(line, "\r\n")] = '\0';
	if (value == NULL) {
		return 0;
	}
	value += 1 + strspn(value + 1, " \t");
	if (strncmp(line, "account", 7) == 0) {
		strlcpy(s->account, value, sizeof(s->account));
	} else if (strncmp(line, "key", 3) == 0) {
		in = (gnutls_datum_t){.data = (unsigned char *)value,
				      .size = strlen(value)};
		if (gnutls_base64_decode2(&in, &out) != 0) {
			return EINVAL;
		}
		s->key_len = MIN(out.size, sizeof(s->key));
		memcpy(s->key, out.data, s->key_len);
		gnutls_memset(out.data, 0, out.size);
		gnutls_free(out.data);
	}
	return 0;
}

static int azure_auth(struct third_place *place, struct azure_state *s)
{
	char *line = NULL;
	size_t size = 0;
	FILE *file = NULL;
	int ret = third_auth_file(place, &file);

	while (ret == 0 && getline(&line, &size, file) != -1) {
		ret = azure_auth_line(s, line);
	}
	if (line != NULL) {
		explicit_bzero(line, size);
	}
	free(line);
	if (file != NULL) {
		fclose(file);
	}
	return ret == 0 && (s->account[0] == '\0' || s->key_len == 0) ? EINVAL
								      : ret;
}

static int azure_open(struct third_place *place, bool create)
{
	struct azure_state *s = talloc_zero(place, struct azure_state);
	const char *host = strstr(place->where, "://");
	int ret;

	place->state = s;
	if (s == NULL || host == NULL || strchr(host + 3, '/') == NULL) {
		return EINVAL;
	}
	ret = azure_auth(place, s);
	if (ret != 0) {
		return ret;
	}
	s->url = talloc_strdup(s, place->where);
	s->path = talloc_strdup(s, strchr(host + 3, '/'));
	s->curl = curl_easy_init();
	if (s->curl == NULL || s->url == NULL || s->path == NULL) {
		return ENOMEM;
	}
	curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(s->curl,
			 CURLOPT_TIMEOUT_MS,
			 place->timeout_ms != 0 ? (long)place->timeout_ms
						: 10000L);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, azure_body);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_HEADERFUNCTION, azure_header);
	curl_easy_setopt(s->curl, CURLOPT_HEADERDATA, s);
	return 0;
}

/* One that is not there yet reads as zero. */
static int azure_read(struct third_place *place, uint8_t *buf, unsigned blocks)
{
	struct azure_state *s = place->state;
	unsigned i;
	int ret = 0;

	memset(buf, 0, blocks * QUORUM_SLOT_BLOCK);
	for (i = 0; i < blocks && ret == 0; i++) {
		s->body = buf + i * QUORUM_SLOT_BLOCK;
		ret = azure_request(s, i, NULL);
		if (ret == ENOENT) {
			memset(s->body, 0, QUORUM_SLOT_BLOCK);
			ret = 0;
		}
	}
	s->body = NULL;
	return ret;
}

static int azure_write(struct third_place *place,
		       unsigned block,
		       const uint8_t *buf)
{
	if (block >= QUORUM_AREA_BLOCKS) {
		return EINVAL;
	}
	return azure_request(place->state, block, buf);
}

const struct third_place_ops third_azure_ops = {
	.prefix = "azure:",
	.open = azure_open,
	.read = azure_read,
	.write = azure_write,
};
