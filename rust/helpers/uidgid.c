// SPDX-License-Identifier: GPL-2.0

#include <linux/uidgid.h>

__rust_helper bool rust_helper_uid_eq(kuid_t a, kuid_t b)
{
	return uid_eq(a, b);
}

__rust_helper bool rust_helper_gid_eq(kgid_t a, kgid_t b)
{
	return gid_eq(a, b);
}

#ifndef CONFIG_USER_NS
__rust_helper kuid_t rust_helper_make_kuid(struct user_namespace *ns, uid_t uid)
{
	return make_kuid(ns, uid);
}

__rust_helper uid_t rust_helper_from_kuid(struct user_namespace *ns, kuid_t uid)
{
	return from_kuid(ns, uid);
}

__rust_helper kgid_t rust_helper_make_kgid(struct user_namespace *ns, gid_t gid)
{
	return make_kgid(ns, gid);
}

__rust_helper gid_t rust_helper_from_kgid(struct user_namespace *ns, kgid_t gid)
{
	return from_kgid(ns, gid);
}

__rust_helper uid_t
rust_helper_from_kuid_munged(struct user_namespace *ns, kuid_t uid)
{
	return from_kuid_munged(ns, uid);
}

__rust_helper gid_t
rust_helper_from_kgid_munged(struct user_namespace *ns, kgid_t gid)
{
	return from_kgid_munged(ns, gid);
}
#endif
