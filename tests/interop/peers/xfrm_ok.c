/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Test-only preload for charon on kernels without INET_ESP/INET6_ESP:
 * turns the kernel's EPROTONOSUPPORT and ENOSYS (AEAD) answers to XFRM SA operations into an ACK,
 * so that the IKE layer goes on.  No SA exists in the kernel afterwards.
 * build: cc -shared -fPIC -O2 -o xfrm_ok.so xfrm_ok.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/types.h>

static int is_xfrm(int fd)
{
	int dom = 0, proto = -1;
	socklen_t l = sizeof(dom);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &dom, &l) || dom != AF_NETLINK)
		return 0;
	l = sizeof(proto);
	return !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &l) && proto == NETLINK_XFRM;
}

static void fix(int fd, void *buf, ssize_t n)
{
	struct nlmsghdr *h = buf;
	if (n <= 0 || !is_xfrm(fd))
		return;
	for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
		if (h->nlmsg_type == NLMSG_ERROR) {
			struct nlmsgerr *e = NLMSG_DATA(h);
			if (e->error == -EPROTONOSUPPORT || e->error == -ENOSYS || e->error == -ESRCH)
				e->error = 0;
		}
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);
	if (!real) real = dlsym(RTLD_NEXT, "recv");
	ssize_t n = real(fd, buf, len, flags);
	fix(fd, buf, n);
	return n;
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *a, socklen_t *al)
{
	static ssize_t (*real)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
	if (!real) real = dlsym(RTLD_NEXT, "recvfrom");
	ssize_t n = real(fd, buf, len, flags, a, al);
	fix(fd, buf, n);
	return n;
}
