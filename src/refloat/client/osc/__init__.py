"""The OpenStackClient plugin: ``openstack data protection ...``. It needs the extra ``refloat[osc]``."""
