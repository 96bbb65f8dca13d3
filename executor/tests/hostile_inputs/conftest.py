from tests.filling import filling, no_waits_between_tries, other_site, site

__all__ = ["filling", "no_waits_between_tries", "other_site", "site"]
