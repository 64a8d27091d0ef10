# DevStack sources this, once for each phase. It installs the service by the files of deploy/.
# shellcheck shell=bash disable=SC2154,SC2153

function install_refloat {
    install_package python3-venv
    python3 -m venv "$REFLOAT_VENV"
    "$REFLOAT_VENV/bin/pip" install -c "$REFLOAT_DIR/constraints.txt" "${REFLOAT_DIR}[service]" pyuwsgi
}

function configure_refloat {
    sudo install -d -o "$STACK_USER" "$REFLOAT_CONF_DIR" "$REFLOAT_CONF_DIR/keys" "$REFLOAT_CONF_DIR/providers.d" \
        "$REFLOAT_STATE"
    # Where DevStack ends TLS, the API listens behind its proxy.
    local port=$REFLOAT_PORT
    if is_service_enabled tls-proxy; then
        port=$REFLOAT_PORT_INT
    fi
    # The same places as elsewhere, but for these.
    local words=(
        -e "s|/etc/refloat|$REFLOAT_CONF_DIR|" -e "s|/var/lib/refloat|$REFLOAT_STATE|"
        -e "s|@DATABASE@|$REFLOAT_DATABASE|" -e "s|@REGION@|$REGION_NAME|"
        -e "s|@AUTH_URL@|$KEYSTONE_SERVICE_URI/v3|" -e "s|@PASSWORD@|$SERVICE_PASSWORD|"
        -e "s|127.0.0.1:8799|$REFLOAT_HOST:$port|"
    )
    local name
    for name in refloat.conf uwsgi.ini providers.d/{noop,infrastructure,volume-snapshot,file-system-bank}.conf; do
        sed "${words[@]}" "$REFLOAT_DIR/deploy/$name" > "$REFLOAT_CONF_DIR/$name"
    done
    chmod 600 "$REFLOAT_CONF_DIR/refloat.conf"
    "$REFLOAT_VENV/bin/refloat-manage" --config-file "$REFLOAT_CONF_DIR/refloat.conf" db sync
    local provider
    for provider in default "OS Infra Provider with a file system bank"; do  # or it is there
        "$REFLOAT_VENV/bin/refloat-manage" --config-file "$REFLOAT_CONF_DIR/refloat.conf" bank create "$provider" || true
    done
}

function register_refloat {
    REFLOAT_PASSWORD=$SERVICE_PASSWORD "$REFLOAT_VENV/bin/python" "$REFLOAT_DIR/deploy/register.py" \
        --os-cloud "$REFLOAT_ADMIN_CLOUD" --region "$REGION_NAME" --project "$SERVICE_PROJECT_NAME" \
        --url "$SERVICE_PROTOCOL://$REFLOAT_HOST:$REFLOAT_PORT"
}

function start_refloat {
    local env="/usr/bin/env REFLOAT_CONFIG=$REFLOAT_CONF_DIR/refloat.conf"
    if is_service_enabled tls-proxy; then
        env+=" REQUESTS_CA_BUNDLE=$SSL_BUNDLE_FILE"
        start_tls_proxy refloat '*' "$REFLOAT_PORT" "$REFLOAT_HOST" "$REFLOAT_PORT_INT"
    fi
    run_process refloat-api "$env $REFLOAT_VENV/bin/uwsgi --ini $REFLOAT_CONF_DIR/uwsgi.ini"
    run_process refloat-worker "$env $REFLOAT_VENV/bin/refloat -v worker"
}

if is_service_enabled refloat-api refloat-worker; then
    case "$1 ${2:-}" in
        "stack install") install_refloat ;;
        "stack post-config") configure_refloat; register_refloat ;;
        "stack extra") start_refloat ;;
        "unstack "*) stop_process refloat-worker; stop_process refloat-api ;;
        "clean "*) sudo rm -rf "$REFLOAT_CONF_DIR" "$REFLOAT_STATE" "$REFLOAT_VENV" ;;
    esac
fi
