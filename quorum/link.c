/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections between candidates and voters: TLS with a key of the pair of
 * nodes; inside a node a Unix socket that only root can open.
 */
#include "quorum/quorum.h"
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct quorum_link *link_new(TALLOC_CTX *mem_ctx)
{
	struct quorum_link *link = talloc_zero(mem_ctx, struct quorum_link);

	if (link != NULL) {
		link->events = POLLIN;
	}
	return link;
}

struct quorum_link *quorum_link_fd(TALLOC_CTX *mem_ctx, int fd)
{
	struct quorum_link *link = link_new(mem_ctx);

	if (link != NULL) {
		link->t = csv_tcp_transport(link, fd);
	}
	if (link == NULL || link->t == NULL) {
		close(fd);
		TALLOC_FREE(link);
		return NULL;
	}
	link->ready = true;
	return link;
}

static int link_connect(const char *address, uint16_t port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *ai = NULL;
	char service[8];
	int fd;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	if (getaddrinfo(address, service, &hints, &ai) != 0) {
		return -1;
	}
	fd = socket(ai->ai_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd != -1 && (csv_tcp_setup(fd) != 0 ||
			 (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 &&
			  errno != EINPROGRESS)))
	{
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

static int link_client_tls(struct quorum_link *link,
			   int fd,
			   const struct quorum_config *config,
			   uint32_t node)
{
	char identity[CSV_PSK_IDENTITY_MAX];
	uint8_t secret[CSV_SECRET_SIZE], psk[CSV_PSK_SIZE];
	uint32_t generation = 0;
	int ret;

	ret = quorum_key_read(config->key_file, &generation, secret);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	ret = csv_psk_derive(secret, generation, config->node, node, psk);
	if (ret == 0) {
		ret = csv_psk_identity_push(generation,
					    config->node,
					    node,
					    identity,
					    sizeof(identity));
	}
	if (ret == 0) {
		ret = csv_tls_client(link, fd, identity, psk, false, &link->tls);
	} else {
		close(fd);
	}
	gnutls_memset(secret, 0, sizeof(secret));
	gnutls_memset(psk, 0, sizeof(psk));
	return ret;
}

struct quorum_link *quorum_link_node(TALLOC_CTX *mem_ctx,
				     const struct quorum_config *config,
				     uint32_t node)
{
	struct quorum_link *link = NULL;
	int fd = link_connect(config->address[node], config->port);

	if (fd == -1) {
		return NULL;
	}
	link = link_new(mem_ctx);
	if (link == NULL) {
		close(fd);
		return NULL;
	}
	if (link_client_tls(link, fd, config, node) != 0) {
		talloc_free(link);
		return NULL;
	}
	link->t = csv_tls_transport(link->tls);
	link->connecting = true;
	link->events = POLLOUT;
	return link;
}

int quorum_local_socket(const struct quorum_config *config,
			struct sockaddr_un *sun)
{
	int n;

	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(sun->sun_path,
		     sizeof(sun->sun_path),
		     "%s/quorum.sock",
		     config->run_dir);
	if (n < 0 || (size_t)n >= sizeof(sun->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return socket(AF_UNIX,
		      SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		      0);
}

struct quorum_link *quorum_link_local(TALLOC_CTX *mem_ctx,
				      const struct quorum_config *config)
{
	struct sockaddr_un sun;
	int fd = quorum_local_socket(config, &sun);

	if (fd == -1) {
		return NULL;
	}
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		close(fd);
		return NULL;
	}
	return quorum_link_fd(mem_ctx, fd);
}

struct quorum_link *quorum_link_accepted(
	TALLOC_CTX *mem_ctx,
	int fd,
	const struct csv_tls_server_params *params)
{
	struct quorum_link *link = link_new(mem_ctx);

	if (link == NULL) {
		close(fd);
		return NULL;
	}
	if (csv_tls_server(link, fd, params, &link->tls) != 0) {
		talloc_free(link);
		return NULL;
	}
	link->t = csv_tls_transport(link->tls);
	return link;
}

int quorum_link_step(struct quorum_link *link)
{
	int error = 0, ret;
	socklen_t len = sizeof(error);

	if (link->connecting) {
		if (getsockopt(link->t->fd, SOL_SOCKET, SO_ERROR, &error, &len)
			    != 0 || error != 0) {
			return error != 0 ? error : EIO;
		}
		link->connecting = false;
	}
	if (!link->ready) {
		ret = csv_tls_handshake(link->tls, &link->events);
		if (ret != 0) {
			return ret;
		}
		link->ready = true;
		link->events = POLLIN;
		return 0;
	}
	ret = -link->t->ops->flush(link->t);
	link->events = ret == EAGAIN ? POLLIN | POLLOUT : POLLIN;
	return ret == EAGAIN ? 0 : ret;
}

int quorum_link_send(struct quorum_link *link, const struct quorum_message *m)
{
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	ssize_t n;

	quorum_message_push(m, buf);
	n = link->t->ops->writev(link->t, &iov, 1);
	if (n != (ssize_t)sizeof(buf)) {
		return n < 0 ? (int)-n : EPIPE; /* nobody reads there */
	}
	return quorum_link_step(link);
}

int quorum_link_recv(struct quorum_link *link, struct quorum_message *m)
{
	struct iovec iov = {.iov_base = link->in + link->in_len,
			    .iov_len = sizeof(link->in) - link->in_len};
	ssize_t n = link->t->ops->readv(link->t, &iov, 1);

	if (n <= 0) {
		return n == 0 ? ECONNRESET : (int)-n;
	}
	link->in_len += (size_t)n;
	if (link->in_len < sizeof(link->in)) {
		return EAGAIN;
	}
	link->in_len = 0;
	return quorum_message_pull(link->in, m);
}
