// SPDX-License-Identifier: GPL-2.0

#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#ifndef __rust_helper
#define __rust_helper
#endif

__rust_helper struct user_namespace *
rust_helper_get_user_ns(struct user_namespace *ns)
{
	return get_user_ns(ns);
}

__rust_helper void rust_helper_put_user_ns(struct user_namespace *ns)
{
	put_user_ns(ns);
}

__rust_helper bool rust_helper_gid_eq(kgid_t a, kgid_t b)
{
	return gid_eq(a, b);
}

#ifndef CONFIG_USER_NS
__rust_helper gid_t rust_helper_from_kgid(struct user_namespace *ns, kgid_t gid)
{
	return from_kgid(ns, gid);
}

__rust_helper kuid_t rust_helper_make_kuid(struct user_namespace *ns, uid_t uid)
{
	return make_kuid(ns, uid);
}

__rust_helper kgid_t rust_helper_make_kgid(struct user_namespace *ns, gid_t gid)
{
	return make_kgid(ns, gid);
}
#endif
